"""A template for the file of a `subprocess=True` task. Copy it to <WORKER_TASK_DIR>/<name of the task>.py.

Try it by hand:  python <name of the task>.py '{"a": 1, "b": 2}'
"""

from easyjobs import current_job  # noqa: F401 - current_job().log("…") and .progress(0.5) show in the job
from easyjobs.workers.task import subprocess


@subprocess
def work(a: int, b: int) -> dict[str, int]:
    """Work that blocks for as long as it likes; what it prints is the job's log. May be `async def` too."""
    return {"sum": a + b}


if __name__ == "__main__":
    work()
