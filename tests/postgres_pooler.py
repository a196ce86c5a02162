"""A real transaction pooler for tests: pgbouncer, where the machine has it (on Debian: apt install pgbouncer)."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import pytest
from postgres_server import PostgresServer, free_port

WHY_NOT: Final = "no pgbouncer on this machine: apt install pgbouncer"
_PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Pooler:
    """pgbouncer in front of `server`, in transaction mode, with so few connections that clients share them."""

    def __init__(self, server: PostgresServer) -> None:
        assert _PROGRAM is not None, WHY_NOT
        self._folder = Path(tempfile.mkdtemp(prefix="easyjobs-pooler-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._folder.chmod(0o755)
        (self._folder / "ini").write_text(
            "[databases]\n"
            f"postgres = host=127.0.0.1 port={server.port} dbname=postgres user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 200\n"
            f"server_login_retry = 0.2\n{'user = nobody' if user else ''}\n"
        )

    def start(self) -> None:
        """Start; it takes connections when this returns."""
        assert _PROGRAM is not None
        with (self._folder / "log").open("ab") as log:
            command = [_PROGRAM, "-q", str(self._folder / "ini")]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it, and remove all of it."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Of the database behind it, as a manager is told."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?pooler=1"


def own_pooler(server: PostgresServer) -> Pooler:
    """A pooler of one's own, running; `close` it. Skips the test where there is none to run."""
    if _PROGRAM is None:
        pytest.skip(WHY_NOT)
    pooler = Pooler(server)
    try:
        pooler.start()
    except BaseException:
        pooler.close()
        raise
    return pooler
