"""The demo: one manager and two workers as real processes, a real pipeline over Python's standard library, a report.

Stays up until Ctrl-C in a terminal; with `--once`, or without a terminal, it ends when the report is there: 0 when
it is right, 1 when it is not.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
QUEUE = "reports"


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class Cluster:
    """The demo's processes. Use as a context manager: whatever happens, none of them outlives it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = secrets.token_urlsafe(18)
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._env = {
            **os.environ,
            "EASYJOBS_SECRET": self.secret,
            "EASYJOBS_STORE": f"sqlite:///{folder / 'demo.db'}",
            "MANAGER_HOST": "127.0.0.1",
            "MANAGER_PORT": str(self.port),
        }

    def __enter__(self) -> Cluster:
        self._start("manager:app", self.port)
        for _ in range(2):
            self._start("worker:app", free_port())
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        until = time.monotonic() + 15
        for process in self._processes:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, app: str, port: int) -> None:
        log = (self._folder / f"{app.split(':')[0]}-{port}.log").open("wb")
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            app,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--app-dir",
            str(HERE),
            "--no-access-log",
        ]
        self._processes.append(
            subprocess.Popen(command, env=self._env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        )

    def check(self) -> None:
        """:raises SystemExit: a process ended; shows what it said last."""
        for process in self._processes:
            if process.poll() is not None:
                self.show_logs()
                raise SystemExit(f"a process of the demo ended with {process.returncode}")

    def show_logs(self) -> None:
        """Print what each process said last."""
        for log in sorted(self._folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)


def wait_until_ready(cluster: Cluster, client: httpx.Client) -> None:
    """Return when the manager answers and both workers are there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        cluster.check()
        try:
            tasks = client.get("/api/tasks")
        except httpx.TransportError:
            pass
        else:
            offered = [task["workers"] for task in tasks.json().get("items", []) if task["queue"] == QUEUE]
            if offered and min(offered) == 2:
                return
        time.sleep(0.1)
    cluster.show_logs()
    raise SystemExit("the manager and its workers did not come up within 30 s")


def run_pipeline(cluster: Cluster, client: httpx.Client) -> dict[str, Any]:
    """Submit the pipeline and show how far it is until it ends."""
    answer = client.post(f"/api/queues/{QUEUE}/tasks/pipeline", json={})
    answer.raise_for_status()
    id = answer.json()["id"]
    print(f"  job {id}")
    while True:
        cluster.check()
        job: dict[str, Any] = client.get(f"/api/jobs/{id}").json()
        show(job.get("progress") or {})
        if job["state"] in ("completed", "failed", "cancelled", "skipped"):
            print()
            return job
        time.sleep(0.1)


def show(progress: dict[str, Any]) -> None:
    """A bar, drawn over itself in a terminal."""
    value = progress.get("value") or 0.0
    if sys.stdout.isatty():
        bar = "█" * round(40 * value)
        print(f"\r  {bar:░<40} {value:4.0%}  {progress.get('note', ''):<28}", end="", flush=True)


def expected() -> tuple[int, int]:
    """Modules and lines, counted without any of the machinery."""
    root = Path(sysconfig.get_path("stdlib"))
    left_out = {"site-packages", "dist-packages", "test", "tests", "__pycache__"}
    paths = [p for p in root.rglob("*.py") if not left_out.intersection(p.relative_to(root).parts)]
    return len(paths), sum(len(p.read_bytes().splitlines()) for p in paths)


def print_report(report: dict[str, Any], jobs: int, seconds: float) -> None:
    """The result as a table."""
    print(f"\n  {'module':<34}{'lines':>8}{'functions':>11}{'classes':>9}{'complexity':>12}")
    for module in report["most_complex"]:
        row = (module["lines"], module["functions"], module["classes"], module["complexity"])
        print(f"  {module['path'][:33]:<34}{row[0]:>8,}{row[1]:>11,}{row[2]:>9,}{row[3]:>12,}")
    totals = (report["lines"], report["functions"], report["classes"], report["complexity"])
    print(
        f"  {'all ' + str(report['modules']) + ' modules':<34}"
        f"{totals[0]:>8,}{totals[1]:>11,}{totals[2]:>9,}{totals[3]:>12,}"
    )
    print("\n  most imported: " + ", ".join(f"{name} ({n})" for name, n in report["most_imported"]))
    print(f"\n  {jobs} jobs in {seconds:.1f} s: {jobs / seconds:,.0f} jobs/s, each durable, each a real file parsed")


def main() -> int:
    """Run the demo; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the report is there")
    once = parser.parse_args().once or not sys.stdout.isatty()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="easyjobs-demo-") as folder, Cluster(Path(folder)) as cluster:
        print(f"A manager and two workers start; the manager listens on {cluster.url}")
        with httpx.Client(base_url=cluster.url, headers={"Authorization": f"Bearer {cluster.secret}"}) as client:
            wait_until_ready(cluster, client)
            print("Measuring every module of Python's standard library, a job each")
            began = time.monotonic()
            job = run_pipeline(cluster, client)
            seconds = time.monotonic() - began
            if job["state"] != "completed":
                print(f"The pipeline {job['state']}: {job['error']}", file=sys.stderr)
                return 1
            report = job["result"]
            print_report(report, report["modules"] + 3, seconds)
            if (report["modules"], report["lines"]) != expected():
                print(f"The report is wrong: it should count {expected()} modules and lines.", file=sys.stderr)
                return 1
        if not once:
            print(f"\n  Look around: {cluster.url}/docs   (log in with the secret {cluster.secret})")
            print(f"  curl -H 'Authorization: Bearer {cluster.secret}' '{cluster.url}/api/jobs?limit=3'")
            print("\n  Ctrl-C ends it.", flush=True)
            while True:
                cluster.check()
                time.sleep(0.5)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
