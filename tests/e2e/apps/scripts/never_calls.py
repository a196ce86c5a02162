from easyjobs.workers.task import subprocess


@subprocess
def work():
    return 1
