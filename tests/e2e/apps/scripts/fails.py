from easyjobs.workers.task import subprocess


@subprocess
def work():
    print("about to fail")
    raise LookupError("nothing there")


if __name__ == "__main__":
    work()
    print("this is not reached")
