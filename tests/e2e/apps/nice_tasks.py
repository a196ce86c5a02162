# module nice_tasks.py, as it was printed
# ruff: noqa: F821, F841, PTH123, UP015

from easyjobs import Dependency, same, task


@task
def foo(file_path: str, number: int):
    with open(file_path, "w") as f:
        f.write(str(number))


@task(dependencies=Dependency(foo, 6, file_path=same))
def bar(file_path: str, number: int, letter: ["A", "B", "C"] = "A"):
    with open(file_path, "r") as f:
        _n = int(f.read())

    with open(file_path, "w") as f:
        f.write(f"{number + _n}{letter}")


@task(process_limit=3, dependencies=[Dependency(foo, 2, number=10, file_path=same), Dependency(bar, 2, file_path=same)])
def baz(file_path: str):
    with open(file_path, "r") as f:
        s = f.read()
