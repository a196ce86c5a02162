"""The command as a whole: its help, its version, its errors, its text."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from easyjobs import __version__
from easyjobs.cli import in_one_line, text
from easyjobs.cli.commands import COMMANDS, commands


def easyjobs(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from easyjobs.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=25,
    )


def test_version_and_help() -> None:
    assert CliRunner().invoke(commands, ["--version"]).output == f"easyjobs, version {__version__}\n"
    for arguments in ([], *([name] for name in COMMANDS)):
        result = CliRunner().invoke(commands, [*arguments, "-h"])
        assert result.exit_code == 0
        assert result.output.startswith("Usage: ")


def test_the_list_of_commands_is_cut_nowhere_in_a_narrow_terminal() -> None:
    for arguments in ([], ["jobs"], ["schedules"]):
        output = CliRunner().invoke(commands, [*arguments, "-h"], terminal_width=80).output
        assert "Commands:" in output
        assert "..." not in output.partition("Commands:")[2]


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["queue"], "which queue? easyjobs {} queue mail"),
        (["task"], "which task? easyjobs {} task mail:send"),
        (["worker"], "which worker? easyjobs {} worker ID, as `easyjobs workers` shows it"),
        (["workers", "w"], "`workers` are all; one of them is: easyjobs {} worker ID"),
        (["task", "send"], "a task is QUEUE:NAME, as mail:send, and not 'send'"),
    ],
)
def test_a_pause_without_its_subject_shows_one(verb: str, arguments: list[str], hint: str) -> None:
    result = CliRunner().invoke(commands, [verb, *arguments])
    assert result.exit_code == 2
    assert hint.format(verb) in result.output


def test_an_unknown_command_is_2() -> None:
    result = CliRunner().invoke(commands, ["serve"])
    assert result.exit_code == 2
    assert "No such command 'serve'" in result.stderr


def test_no_traceback_of_a_users_module_reaches_the_user(tmp_path: Path) -> None:
    module = tmp_path / "broken.py"
    module.write_text("x = 1\nraise ValueError('bad \\x1b[31m luck')\n")
    place = {"PYTHONPATH": str(tmp_path), "EASYJOBS_SECRET": "a secret of many characters"}
    run = easyjobs("worker", "broken", **place)
    assert run.returncode == 1
    assert run.stderr == (f"Error: ValueError: bad \\x1b[31m luck ({module}:2; EASYJOBS_DEBUG=1 shows the traceback)\n")
    assert "Traceback" in easyjobs("worker", "broken", EASYJOBS_DEBUG="1", **place).stderr


def test_a_syntax_error_is_placed_where_it_stands(tmp_path: Path) -> None:
    module = tmp_path / "broken.py"
    module.write_text("x = 1\ndef (\n")
    run = easyjobs("worker", "broken", PYTHONPATH=str(tmp_path), EASYJOBS_SECRET="a secret of many characters")
    assert run.stderr == f"Error: SyntaxError: invalid syntax ({module}:2; EASYJOBS_DEBUG=1 shows the traceback)\n"


def test_a_fault_of_our_own_has_no_place_in_the_users_code(capsys: pytest.CaptureFixture[str]) -> None:
    in_one_line(KeyError, KeyError("items"), None)
    assert capsys.readouterr().err == "Error: KeyError: 'items' (EASYJOBS_DEBUG=1 shows the traceback)\n"


def test_a_name_that_the_terminal_cannot_show_is_written_out() -> None:
    code = "import atexit; from easyjobs.cli import main; atexit.register(print, '日本'); main()"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    run = subprocess.run([sys.executable, "-c", code, "--version"], env=environment, capture_output=True, check=True)
    assert run.stdout.endswith(rb"\u65e5\u672c" + b"\n")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ünïcode 日本", "plain ünïcode 日本"),
        ("\x1b[31m\x07\x00", r"\x1b[31m\x07\x00"),
        ("a\nb\r\tc\u2028", r"a\nb\r\tc\u2028"),
        ("\u202eevil\u200b", r"\u202eevil\u200b"),
        ("\x9b31m \x7f", r"\x9b31m \x7f"),
        ("\ud800", r"\ud800"),
    ],
)
def test_plain_writes_out_what_a_terminal_obeys(given: str, shown: str) -> None:
    assert text.plain(given) == shown


def test_columns_are_as_wide_as_they_must_be() -> None:
    assert list(text.aligned(("id", "name"), [("1", "x"), ("234567", "")])) == ["ID      NAME", "1       x", "234567"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_drawn_table_in_which_brackets_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    text.table(("id", "name"), [("1", "[bold]x[/bold] \x1b[31m")])
    assert "─" in terminal.getvalue()
    assert r"[bold]x[/bold] \x1b[31m" in terminal.getvalue()


def test_a_terminal_without_rich_gets_plain_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setattr(text, "find_spec", lambda name: None)
    text.table(("id",), [("1",)])
    assert terminal.getvalue() == "ID\n1\n"
