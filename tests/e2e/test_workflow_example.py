"""The example of a workflow does what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "workflow.py"


def test_it_measures_a_package_and_draws_the_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, "json", "run.svg"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=True,
    )
    modules = [path for path in files(json).iterdir() if path.name.endswith(".py")]
    lengths = {Path(str(path)).stem: path.read_text().splitlines() for path in modules}
    code = {name: [line for line in lines if not line.lstrip().startswith("#")] for name, lines in lengths.items()}
    first, second, _, *picture = done.stdout.splitlines()
    longest = max(code, key=lambda name: len(code[name]))
    assert first == f"json has {sum(map(len, code.values()))} lines; its longest module is {longest}"
    assert second == f"with its comments it has {sum(map(len, lengths.values()))} lines"
    assert picture == [
        "1 ── ✓ find",
        "2 ── ✓ measure  ⇉ find",
        "3 ┬─ ✓ total    ← measure",
        "  └─ ✓ longest  ← measure",
        "4 ── ✓ report   ← total, longest",
        "✓ completed",
    ]
    assert ElementTree.parse(tmp_path / "run.svg").getroot().get("aria-label") == "Lines of a package"
