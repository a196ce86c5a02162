"""Real processes for the stories: a manager, workers, what they say, and what their tasks did."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx

APPS = Path(__file__).parent / "apps"
COMMAND = str(Path(sysconfig.get_path("scripts")) / "easyjobs")
SECRET = "a secret of the stories"
FINAL = ("completed", "failed", "cancelled", "skipped")
MARK = f"STORIES_OF={os.getpid()}"
"""A variable that all our processes carry, so that one that was left behind is found."""

SHORT = {"EASYJOBS_LEASE": "5", "EASYJOBS_HEARTBEAT": "1", "EASYJOBS_GRACE": "1"}
"""A manager that gives up on workers soon. The lease is longer than a watchdog takes to notice a blocked loop."""

LONG = {"EASYJOBS_LEASE": "3600", "EASYJOBS_HEARTBEAT": "5"}
"""A manager that gives up on no worker for its silence alone: whoever waits for a lease to be over waits too long, and
a machine that has much else to do makes nothing run twice.
"""

PATIENCE = 60.0
"""Seconds until what does not come true is given up. Who waits goes on as soon as it is there: a machine that has much
else to do costs time, and fails no story.
"""

SHORTEST, LONGEST = 0.02, 0.1
"""Seconds between two looks."""

T = TypeVar("T")


def until(true: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
    """What `true` returns as soon as that is something; fails when it is nothing for `timeout` seconds.

    Who waits long asks less often: most that is asked is asked of a manager, and costs it as much as a job.
    """
    end = time.monotonic() + timeout
    pause = SHORTEST
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < end, f"for {timeout:g} s it did not come true that {what}"
        time.sleep(pause)
        pause = min(1.1 * pause, LONGEST)


_random = random.Random(os.getpid() ^ time.time_ns())


def free_port() -> int:
    """A port that nobody has, below those that outgoing connections are given: a manager that is down for a moment
    must find it free again, and a worker that dials meanwhile must not meet itself.
    """
    while True:
        port = _random.randrange(10_000, 32_000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Process:
    """One process in a group of its own, what it says in a file."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as out:
            self.popen = subprocess.Popen(
                command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.pid = self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def said(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """kill -9, of it and all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(PATIENCE)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code, when it has ended."""
        return self.popen.wait(timeout)

    def terminate(self, timeout: float = PATIENCE) -> int:
        """SIGTERM; its exit code. A uvicorn that has stopped in good order then dies of the signal it was sent: that
        is a 0 here too.
        """
        self.popen.terminate()
        code = self.popen.wait(timeout)
        return 0 if code == -signal.SIGTERM and "Application shutdown complete." in self.said() else code

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards, with all its children."""
        if self.running:
            self.popen.send_signal(signal.SIGTERM)
            self.popen.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(5)
        self.kill()


class Line(NamedTuple):
    """One line of the ledger of effects."""

    job: str
    attempt: int
    pid: int
    what: str


class Cluster:
    """A manager and its workers in one folder; use as a context manager, which leaves no process behind.

    :param settings: EASYJOBS_* variables of the manager.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: list[Process] = []
        self.manager: Process | None = None
        self.secret = SECRET
        self.settings = {**SHORT, "EASYJOBS_STORE": f"sqlite:///{folder}/jobs.db", **settings}
        self.effects_file = folder / "effects"
        self.effects_file.touch()
        self._numbers = itertools.count(1)
        self.http = httpx.Client(base_url=self.url, timeout=httpx.Timeout(1.5 * PATIENCE), trust_env=False)
        self.use_secret(SECRET)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()
        # workers first: their goodbye is quick while there is a manager to hear it
        for process in sorted(self.processes, key=lambda p: p is self.manager):
            process.end()

    def use_secret(self, secret: str) -> None:
        self.secret = secret
        self.http.headers["Authorization"] = f"Bearer {secret}"

    # -- processes

    def env(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """Of a process: ours, without what the machine's owner set for easyjobs."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("EASYJOBS_", "DB_PATH", "COV_", "PYTHONHASH"))}
        name, _, value = MARK.partition("=")
        return {**ours, "PYTHONUNBUFFERED": "1", name: value, "EFFECTS": str(self.effects_file), **(more or {})}

    def start(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Process:
        process = Process(f"{name}-{next(self._numbers)}", command, self.env(env), self.folder)
        self.processes.append(process)
        return process

    def uvicorn(self, app: str, port: int, env: dict[str, str] | None = None, *options: str) -> Process:
        """`uvicorn app` of one of our apps."""
        command = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(APPS), "--host", "127.0.0.1"]
        return self.start(app.partition(":")[0], [*command, "--port", str(port), *options], env)

    def run(
        self, *arguments: str, secret: str | None = None, port: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`easyjobs …`, to its end."""
        url = f"http://127.0.0.1:{port or self.port}"
        env = self.env({"EASYJOBS_SECRET": secret or self.secret, "EASYJOBS_URL": url, "PYTHONPATH": str(APPS)})
        command = [COMMAND, *arguments]
        return subprocess.run(
            command, env=env, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def start_manager(self, app: str | None = None, *, wait: bool = True) -> Process:
        """Start the manager, or start it again, on the cluster's port and store: `easyjobs manager`, or uvicorn with an
        app of ours.
        """
        env = {"EASYJOBS_SECRET": SECRET, **self.settings}
        if app is None:
            self.manager = self.start("manager", [COMMAND, "manager", "--port", str(self.port)], env)
        else:
            self.manager = self.uvicorn(app, self.port, env)
        if wait:
            self.until_ready()
        return self.manager

    def until_ready(self) -> None:
        manager = self.manager

        def ready() -> bool:
            assert manager is None or manager.running, f"the manager ended:\n{manager.said()}"
            try:
                return self.http.get("/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(ready, "the manager is ready")

    def worker_env(self, queue: str, slots: int = 8, **settings: str) -> dict[str, str]:
        return {
            "PYTHONPATH": str(APPS),
            "EASYJOBS_MANAGER_SECRET": self.secret,
            "EASYJOBS_MANAGER_URL": f"ws://127.0.0.1:{self.port}",
            "EASYJOBS_JOBS_QUEUE": queue,
            "EASYJOBS_MAX_TASKS_PER_WORKER": str(slots),
            **settings,
        }

    def start_worker(self, queue: str, slots: int = 8, *, wait: bool = True, **settings: str) -> Process:
        """Start a stand-alone worker of `queue`; with `wait`, until the manager may give it jobs."""
        command = [COMMAND, "worker", "tasks:worker"]
        process = self.start(f"worker-{queue}", command, self.worker_env(queue, slots, **settings))
        if wait:
            self.until_connected(process)
        return process

    def until_connected(self, *processes: Process) -> None:
        wanted = {process.pid for process in processes}

        def connected() -> bool:
            for process in processes:
                assert process.running, f"{process.name} ended:\n{process.said()}"
            return wanted <= {w["pid"] for w in self.workers() if w["state"] == "live"}

        until(connected, "the workers are connected")

    # -- the API

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        assert answer.status_code in (200, 202), f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        answer = self.http.post(path, json={} if body is None else body, params=query)
        assert answer.status_code in (200, 202), f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def submit(self, queue: str, task: str, arguments: dict[str, Any] | None = None, **query: Any) -> str:
        """Make a job of a task over its endpoint; its id."""
        id: str = self.post(f"/api/queues/{queue}/tasks/{task}", arguments, **query)["id"]
        return id

    def job(self, id: str) -> Any:
        return self.get(f"/api/jobs/{id}")

    def end_of(self, id: str, timeout: float = PATIENCE) -> Any:
        """The job, when it has ended."""

        def ended() -> Any:
            job = self.job(id)
            return job if job["state"] in FINAL else None

        return until(ended, f"job {id} ends", timeout)

    def until_state(self, id: str, state: str, timeout: float = PATIENCE) -> Any:
        def there() -> Any:
            job = self.job(id)
            return job if job["state"] == state else None

        return until(there, f"job {id} is {state}", timeout)

    def attempts(self, id: str) -> Any:
        return self.get(f"/api/jobs/{id}/attempts")["items"]

    def ends(self, id: str) -> list[str | None]:
        """How each attempt of a job ended, oldest first."""
        return [attempt["end"] for attempt in self.attempts(id)]

    def logs(self, id: str) -> Any:
        return self.get(f"/api/jobs/{id}/logs")["items"]

    def workers(self) -> Any:
        return self.get("/api/workers")["items"]

    def worker_of(self, process: Process) -> Any:
        """The worker that runs in a process, as the manager shows it; None when it knows of none."""
        return next((w for w in self.workers() if w["pid"] == process.pid), None)

    # -- effects and gates

    def effects(self, job: str | None = None) -> list[Line]:
        """What tasks did, in the order in which they did it; of one job, or of all."""
        lines = []
        for line in self.effects_file.read_text().splitlines():
            id, attempt, pid, what = line.split(" ", 3)
            if job is None or id == job:
                lines.append(Line(id, int(attempt), int(pid), what))
        return lines

    def until_effect(self, job: str, what: str, attempt: int | None = None, timeout: float = PATIENCE) -> Line:
        """The line that says that a job did something."""

        def done() -> Line | None:
            lines = [e for e in self.effects(job) if e.what == what and attempt in (None, e.attempt)]
            return lines[0] if lines else None

        return until(done, f"job {job} does {what!r}", timeout)

    def until_begun(self, job: str, worker: Process, attempt: int) -> int:
        """Wait until an attempt after a crash has begun, in a child process of that worker; the child's pid."""
        pid = self.until_effect(job, "began", attempt).pid
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert parent == worker.pid
        return pid

    def gate(self) -> Path:
        """A gate that is shut: `touch` opens it."""
        return self.folder / f"gate-{next(self._numbers)}"


def left_behind() -> list[str]:
    """Processes of ours that are still there, by their command lines."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environ = (folder / "environ").read_bytes()
            if MARK.encode() in environ.split(b"\0"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # another's, or gone
    return found
