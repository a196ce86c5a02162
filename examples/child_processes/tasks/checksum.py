"""The file of the task `checksum`. By hand: python checksum.py '{"folder": "."}'"""

from __future__ import annotations

import hashlib
from pathlib import Path

from easyjobs import current_job
from easyjobs.workers.task import subprocess


@subprocess
def work(folder: str, pattern: str = "*.py") -> dict[str, object]:
    files = sorted(Path(folder).glob(pattern))
    whole = hashlib.sha256()
    for n, file in enumerate(files, 1):
        print("reading", file.name)
        whole.update(file.read_bytes())
        current_job().progress(n / len(files), file.name)
    return {"files": len(files), "sha256": whole.hexdigest()}


if __name__ == "__main__":
    work()
