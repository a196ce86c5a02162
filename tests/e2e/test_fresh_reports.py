"""The example of reports that need fresh prices does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "fresh_reports.py"


def test_the_second_time_only_the_reports_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
    )
    prices = "        dependency prices"
    assert done.stdout.splitlines() == [
        "group report {'jobs': 2}",
        '    member report {"region":"north","day":7}',
        f'{prices} {{"region":"north","day":7}}',
        f'{prices} {{"region":"north","day":6}}',
        '    member report {"region":"south","day":7}',
        f'{prices} {{"region":"south","day":7}}',
        f'{prices} {{"region":"south","day":6}}',
        "group report {'jobs': 2}",
        '    member report {"region":"north","day":7}',
        '    member report {"region":"south","day":7}',
    ]
