"""The example of child processes does what it says: by itself, and served."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support import Cluster

FOLDER = Path(__file__).parent.parent.parent / "examples" / "child_processes"
Make = Callable[..., Cluster]


def test_it_runs_four_jobs_and_says_how_each_ended(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "app.py"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
    )
    # each as soon as it has ended
    checksum, endless, hungry, primes = sorted(done.stdout.splitlines())
    assert primes == "primes: 78498"
    assert checksum.startswith("checksum: {'files': 1, 'sha256': '")
    assert "MemoryError" in hungry
    assert "max_memory allows 100 MiB" in hungry
    assert "TimeoutError" in endless
    assert "its timeout of 1 s" in endless


def test_it_is_served_and_its_children_report_by_themselves(make: Make) -> None:
    cluster = make()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(FOLDER), "--port", str(cluster.port)]
    env = {"EASYJOBS_SECRET": cluster.secret, **cluster.settings}
    cluster.manager = cluster.start("example", command, env)
    cluster.until_ready()

    assert cluster.end_of(cluster.submit("heavy", "primes", {"below": 100}), timeout=60)["result"] == 25
    job = cluster.end_of(cluster.submit("heavy", "checksum", {"folder": str(FOLDER)}), timeout=60)

    assert job["result"]["files"] == 1
    assert job["progress"] == {"value": 1.0, "note": "app.py"}
    assert [(line["level"], line["text"]) for line in cluster.logs(job["id"])] == [("info", "reading app.py")]
    assert cluster.manager.said().count('"WebSocket /ws/jobs" [accepted]') == 2


def test_its_file_is_tried_by_hand(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one")
    done = subprocess.run(
        [sys.executable, FOLDER / "tasks" / "checksum.py", '{"folder": ".", "pattern": "*.txt"}'],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=True,
    )
    said, result = done.stdout.splitlines()
    assert said == "reading one.txt"
    assert json.loads(result)["files"] == 1
    assert done.stderr == "progress: 100% one.txt\n"


def test_a_file_that_is_tried_by_hand_has_a_job_to_speak_of(tmp_path: Path) -> None:
    (tmp_path / "talks.py").write_text(
        "from easyjobs import current_job\n"
        "from easyjobs.workers.task import subprocess\n\n\n"
        "@subprocess\n"
        "async def work() -> list:\n"
        "    job = current_job()\n"
        "    job.log('so far, so good', 'warning')\n"
        "    job.progress(None, 'somewhere')\n"
        "    return [job.task, job.attempt, job.cancelled]\n\n\n"
        "work()\n"
    )
    done = subprocess.run(
        [sys.executable, "talks.py", "{}"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
    )
    assert json.loads(done.stdout) == ["talks", 1, False]
    assert done.stderr.splitlines() == ["warning: so far, so good", "progress: somewhere"]
