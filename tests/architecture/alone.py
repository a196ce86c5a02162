"""Run after `coverage run`: each module of core and protocol is covered wholly by the test file of its own name.

A rule that only another rule's test reaches can be broken without its own test noticing.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from coverage import Coverage

ROOMS = (Path("easyjobs/core"), Path("easyjobs/protocol"))


def missed(data: Coverage, module: Path) -> str:
    """What coverage says of a module's own test; nothing when that reaches every branch."""
    report = io.StringIO()
    contexts = [r"^$", rf"^test_{module.stem}\."]  # "": what runs when the module is imported
    whole = data.report(include=[str(module)], contexts=contexts, show_missing=True, file=report)
    return "" if whole == 100.0 else report.getvalue()


def main() -> int:
    """How many modules are not covered by their own test."""
    data = Coverage()
    data.load()
    modules = [path for room in ROOMS for path in sorted(room.glob("*.py")) if path.stem != "__init__"]
    faults = [fault for module in modules if (fault := missed(data, module))]
    for fault in faults:
        sys.stderr.write(f"not covered by its own test alone:\n{fault}\n")
    sys.stdout.write(f"{len(modules) - len(faults)} of {len(modules)} modules are covered by their own test alone\n")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main())
