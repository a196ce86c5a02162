"""The example of Taskmaster's users runs by one command, and does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from support import COMMAND

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "taskmaster"


def test_one_command_runs_the_pipeline_and_tells_its_events(tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("out", "__pycache__"))
    env = {**os.environ, "OUT": str(tmp_path / "out")}
    command = [COMMAND, "run", "jobs.json", "--events", "events.py", "--store", "memory:"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "5 completed" in done.stdout
    counted = (tmp_path / "out/Language/letters-count.csv").read_text().splitlines()
    assert counted[0].split()[1] == "LATIN"
    published = (tmp_path / "out/Calendar/zones-publish.csv").read_text().splitlines()
    assert "Europe/Paris,2026-03-29,forward" in published
    report = (tmp_path / "out/report.txt").read_text()
    assert "Letters of the world: letters/letters-grab.py has" in report
    assert f"zones/zones-publish.sh has {len(published)} rows" in report
