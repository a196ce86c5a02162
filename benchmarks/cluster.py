"""Managers and workers as they are deployed: processes of their own; SQLite with FULL durability, or PostgreSQL."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from benchmarks.rows import Rows

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class Cluster:
    """Managers on a store of their own, and workers as they are asked for. A context manager: nothing outlives it.

    :param store: its URL, by default a SQLite file. With several `managers`, clients come to the first and workers to
        the last.
    """

    def __init__(self, folder: Path, store: str | None = None, managers: int = 1) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(managers)]
        self.port = self.ports[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = secrets.token_hex(16)
        self.rows = Rows(store or f"sqlite:///{folder / 'bench.db'}")
        self._log = (folder / "processes.log").open("wb")
        self._env = {
            **os.environ,
            "EASYJOBS_SECRET": self.secret,
            "EASYJOBS_STORE": self.rows.url,
            "EASYJOBS_MANAGER_URL": f"http://127.0.0.1:{self.ports[-1]}",
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.secret}"}, timeout=60)

    def __enter__(self) -> Cluster:
        self.begin()
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()
        for process in reversed(self._processes):
            self.stop(process)
        self._log.close()

    def begin(self) -> None:
        """Start the managers, or start them again."""
        self.managers = [
            self.start("easyjobs", "manager", "--host", "127.0.0.1", "--port", str(port)) for port in self.ports
        ]
        self.manager = self.managers[0]
        for port in self.ports:
            url = f"http://127.0.0.1:{port}/health/ready"
            self.until("the manager answers", lambda url=url: httpx.get(url).status_code == 200)

    def end(self) -> None:
        """Stop the managers."""
        for manager in self.managers:
            self.stop(manager)

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `python -m module arguments`."""
        command = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(command, env=self._env, cwd=ROOT, stdout=self._log, stderr=self._log)
        self._processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """Start the stand-alone worker of the benchmarks and wait until it is connected."""
        process = self.start("easyjobs", "worker", "benchmarks.tasks:worker")
        self.until("the worker is connected", lambda: len(self.workers()) == 1)
        return process

    def workers(self) -> list[dict[str, object]]:
        """The workers that are connected."""
        items = self.http.get("/api/workers").json()["items"]
        return [worker for worker in items if worker["state"] != "disconnected"]

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a process to end and wait until it has."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.remove(process)

    def until(self, what: str, is_so: object, seconds: float = 120) -> None:
        """Wait until `is_so()`; :raises SystemExit: it did not become so, or a process ended; shows its last words."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if is_so():  # type: ignore[operator]
                    return
            except httpx.TransportError:
                if any(process.poll() for process in self._processes):
                    break
            time.sleep(0.02)
        self._log.flush()
        print((self.folder / "processes.log").read_text()[-3000:], file=sys.stderr)
        raise SystemExit(f"it never came true that {what}")


def peak_memory(process: subprocess.Popen[bytes]) -> float:
    """The most memory that a process has had, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
