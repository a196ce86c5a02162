"""The example of schedules does what its page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CLOCK = Path(__file__).parents[2] / "examples" / "schedules" / "clock.py"


def test_the_example_ticks_skips_and_runs_by_hand() -> None:
    done = subprocess.run([sys.executable, CLOCK, "4.5"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "DEFAULT:tick: every second" in lines
    assert "reports:daily: at 07:00 on Monday to Friday, Europe/Paris" in lines
    assert "done: the daily report" in lines
    ticks = [line for line in lines if line.startswith("tick ")]
    assert len(ticks) == len(set(ticks)) >= 3
    # of the ticks of each second second, those that come while the report of three seconds runs are skipped
    assert 1 <= lines.count("report for Ada") <= 2
