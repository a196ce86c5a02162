"""Tasks that are performed for all values of a parameter, as they were printed; what they do is to say so."""

from tasks import effect

from easyjobs import Dependency, same, task


@task(type_key="cool_tasks", process_units=10, write_all=["b"])
def foo(a: int, b: [1, 2, 3]):
    """
    Do the first thing.

    :param a: how much of it
    :param b: which of them
    """
    effect(f"foo {a} {b}")


@task(type_key="cool_tasks", write_all=["b"], dependencies=Dependency(foo, 2, a=1, b=same), process_units=20)
def bar(a: int, b: [1, 2, 3], c: str):
    effect(f"bar {a} {b} {c}")
