import sys

from easyjobs.workers.task import subprocess


@subprocess
async def work(a: int, b: int) -> dict[str, int]:
    print(f"adding {a} and {b}", file=sys.stderr)
    return {"sum": a + b}


if __name__ == "__main__":
    work()
