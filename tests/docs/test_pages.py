"""The pages do what they say: their files are written, their commands run, what they print is compared.

A python block that begins with `# name.py` is a file. In a console block each line after `$ ` is a command; what
stands below it must come out, where `…` stands for anything. A command that ends in `&` stays until the page is over.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if "```" in page.read_text()]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_HERE = ("pip install", "make ")  # what they do is tried by others, or is the test run itself


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of each block."""
    return BLOCK.findall(page.read_text())


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, what it is said to print) of a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.replace("\\\n", " ").splitlines()
        yield lines[0].strip(), "\n".join(lines[1:]).strip()


class Shell:
    """Runs a page's commands in one folder, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.folder = folder
        self.env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "EASYJOBS_MANAGER_PORT": str(self.port),
            "EASYJOBS_URL": f"http://127.0.0.1:{self.port}",
        }
        self._background: list[subprocess.Popen[bytes]] = []

    def here(self, text: str) -> str:
        """The page's port becomes ours."""
        return text.replace("8220", str(self.port))

    def run(self, command: str) -> str:
        """Run a command, or start one that ends in `&`; what it printed."""
        command = self.here(command)
        if command.endswith("&"):
            words = shlex.split(command[:-1])
            with (self.folder / f"background-{len(self._background)}.log").open("wb") as log:
                process = subprocess.Popen(
                    words, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True
                )
            self._background.append(process)
            return ""
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr

    def run_until(self, command: str, expected: str) -> str:
        """Run a command until it prints what is expected: a server that was just started may need a moment."""
        until = time.monotonic() + 60
        while True:
            printed = self.run(command)
            if matches(expected, printed) or time.monotonic() > until:
                return printed
            time.sleep(0.2)

    def close(self) -> None:
        """End what stays."""
        for process in reversed(self._background):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._background:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def logs(self) -> str:
        """What the background commands said."""
        return "\n".join(log.read_text() for log in sorted(self.folder.glob("background-*.log")))


def matches(expected: str, printed: str) -> bool:
    """Whether each line that is expected came, in this order; `…` is anything."""
    lines = printed.splitlines()
    at = 0
    for line in filter(None, map(str.strip, expected.splitlines())):
        pattern = re.compile(".*?".join(map(re.escape, line.split("…"))))
        while at < len(lines) and not pattern.search(lines[at]):
            at += 1
        if at == len(lines):
            return False
        at += 1
    return True


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.close()


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Path, shell: Shell) -> None:
    for language, text in blocks(page):
        if language == "python":
            compile(text, str(page), "exec", flags=0x2000)  # top-level await is allowed
            name = re.match(r"# ([\w/]+\.py)\n", text)
            if name:
                (shell.folder / name[1]).write_text(shell.here(text))
        elif language == "console":
            for command, expected in commands(text):
                if not command.startswith(NOT_HERE):
                    printed = shell.run_until(command, shell.here(expected))
                    assert matches(shell.here(expected), printed), f"{command}\n{printed}\n{shell.logs()}"


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_what_is_made_from_the_code_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
