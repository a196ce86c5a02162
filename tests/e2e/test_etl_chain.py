"""The example of a chain does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "etl_chain.py"


@pytest.mark.parametrize(
    ("argument", "lines"),
    [
        (
            "good",
            [
                'begin extract: {"data":{"a":1,"b":2,"c":3}}',
                '    after transform: {"data":{"a":3,"b":4,"c":5}}',
                '        after load: {"data":{"a":3,"b":4,"c":5}}',
                "            after compute: 12",
                '                before configure_environment: "configured"',
                '                    before deploy_environment: "deployed"',
                '                    before prepare_db: "prepared"',
            ],
        ),
        (
            "bad",
            [
                'begin extract: {"data":{"a":1,"b":2,"c":"three"}}',
                "    after transform: failed",
                '        failure failure_notify: "told everybody that transform failed: invalid literal for int() with '
                "base 10: 'three'\"",
            ],
        ),
    ],
)
def test_the_chain_runs_and_is_drawn(argument: str, lines: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, argument], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines() == lines
