"""Its job is recorded when `work` returns; then it says so, and stays."""

import os
import time
from pathlib import Path

from easyjobs.workers.task import subprocess


@subprocess
def work(mark):
    return {"mark": mark, "pid": os.getpid()}


if __name__ == "__main__":
    done = work()
    Path(done["mark"]).touch()
    time.sleep(600)
