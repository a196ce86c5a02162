"""The file of the task `script`."""

from easyjobs.workers.task import subprocess


@subprocess
def work() -> int:
    """Nothing."""
    return 1


if __name__ == "__main__":
    work()
