import time

from easyjobs.workers.task import subprocess


@subprocess
def work(a, b, c):
    """
    insert blocking / non-blocking work here
    """
    time.sleep(5)  # Blocking
    return {"result": f"I slept for 5 seconds - blocking with {a} {b} {c}"}


if __name__ == "__main__":
    work()
