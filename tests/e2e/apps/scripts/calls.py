from children import double, worker

from easyjobs.workers.task import subprocess


@subprocess
def work(n: int) -> int:
    return worker.wait(double(n))


if __name__ == "__main__":
    work()
