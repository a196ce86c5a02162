"""Workflows: graphs of tasks. A run of one is a job, and so is each of its nodes; which nodes follow from which is
said here, once, before anything runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

import msgspec

from easyjobs.errors import ArgumentsRefused, RegistrationError

MOST: Final = 10_000
"""Nodes of one graph."""

Path: TypeAlias = tuple[str | int, ...]
"""Steps into JSON: names of an object, indexes of an array."""


class Take(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that a call takes from elsewhere: what lies at `path` in the result of `node`, or, where no node is
    named, in the run's own arguments (an object, by parameter), is put at `into`.

    `into` begins with "args" or "kwargs". `("kwargs",)` alone merges an object into all of them, over what is there.
    `job` takes the id of the node's job, or the run's, instead. `optional`: where nothing lies there, nothing is put.
    """

    into: Path
    node: str = ""
    path: Path = ()
    job: bool = False
    optional: bool = False


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job of a run: a call of `task` ("task" of the workflow's queue, or "queue:task"), made when the nodes `after`
    and those of its `takes` have completed.

    `args` and `kwargs` are JSON texts. With `over` the node is a map: what that takes is a list, and each of its items
    is a call, with the item put at `over.into`; the result is the list of their results.
    """

    name: str
    task: str
    after: tuple[str, ...] = ()
    args: str = "[]"
    kwargs: str = "{}"
    takes: tuple[Take, ...] = ()
    over: Take | None = None
    priority: int | None = None  # None: the run's, else the task's
    title: str = ""

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """The nodes that must complete first, each once."""
        takes = self.takes if self.over is None else (*self.takes, self.over)
        return tuple(dict.fromkeys((*self.after, *(take.node for take in takes if take.node))))


class Graph(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """The nodes of a workflow, in an order in which each comes after those it waits for; `order` gives it, and refuses
    what is no such graph. `returns`: what the run's result is; None: how many nodes it had. Where it is put together of
    several results, `gives` says which: each is put into the JSON text `shape`, with "args" and 0 before the way there.
    """

    nodes: tuple[Node, ...]
    returns: Take | None = None
    gives: tuple[Take, ...] = ()
    shape: str = "null"

    def hash(self, signature: str) -> str:
        """16 hex digits that are equal when, and only when, the graph and the `signature` of its parameters are."""
        return hashlib.sha256(signature.encode() + self._digest).hexdigest()[:16]

    @cached_property
    def _digest(self) -> bytes:
        """Of a large graph it is asked for at each look at its lane, and takes a while."""
        return hashlib.sha256(msgspec.json.encode(self)).digest()


def order(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes so that each comes after those it waits for, otherwise as they were given.

    :raises RegistrationError: there are none, or too many; two have one name; one waits for a node that is not there,
        or, whatever the way, for itself (says the path).
    """
    given = list(nodes)
    if not 0 < len(given) <= MOST:
        raise RegistrationError(f"a workflow has between 1 and {MOST} tasks, not {len(given)}")
    by_name: dict[str, Node] = {}
    for node in given:
        if node.name in by_name:
            raise RegistrationError(f"two tasks of the workflow are called {node.name!r}")
        by_name[node.name] = node
    for node in given:
        for name in node.prerequisites:
            if name not in by_name:
                raise RegistrationError(f"task {node.name!r} depends on {name!r}, which is not in the workflow")
    done: dict[str, None] = {}
    path: dict[str, list[str]] = {}  # name -> the prerequisites that were not looked at yet
    for node in given:
        if node.name not in done:
            path[node.name] = list(node.prerequisites)
        while path:
            name = next(reversed(path))
            if not path[name]:
                del path[name]
                done[name] = None
                continue
            first = path[name].pop(0)
            if first in path:
                names = list(path)
                circle = [*names[names.index(first) :], first]
                raise RegistrationError(f"tasks may not depend on themselves: {' → '.join(circle)}")
            if first not in done:
                path[first] = list(by_name[first].prerequisites)
    return tuple(by_name[name] for name in done)


def levels(graph: Graph) -> list[list[Node]]:
    """The nodes by the length of the longest way to them: those of one level can run side by side."""
    depth: dict[str, int] = {}
    found: list[list[Node]] = []
    for node in graph.nodes:
        depth[node.name] = 1 + max((depth[name] for name in node.prerequisites), default=-1)
        if depth[node.name] == len(found):
            found.append([])
        found[depth[node.name]].append(node)
    return found


def leaves(graph: Graph) -> list[Node]:
    """The nodes for which no other waits."""
    waited_for = {name for node in graph.nodes for name in node.prerequisites}
    return [node for node in graph.nodes if node.name not in waited_for]


def sources(graph: Graph) -> tuple[str, ...]:
    """The nodes whose results are in that of a run, each once."""
    takes = graph.gives if graph.returns is None else (graph.returns,)
    return tuple(dict.fromkeys(take.node for take in takes))


def result(graph: Graph, results: Mapping[str, Any]) -> Any:
    """What a run gives whose `sources` gave these `results`, by name.

    :raises ArgumentsRefused: one of them has not what is taken of it.
    """
    if graph.returns is not None:
        return taken(results[graph.returns.node], graph.returns)
    whole = Calling([msgspec.json.decode(graph.shape)], {})
    for take in graph.gives:
        fill(whole, take, results[take.node])
    return whole.args[0]


class Calling(msgspec.Struct):
    """A call as far as it is known: `args` and `kwargs` as values, and what it still `takes`, by the ids of jobs. A job
    keeps it as the text of its one argument until its turn comes.
    """

    args: list[Any]
    kwargs: dict[str, Any]
    takes: list[Take] = []
    over: Take | None = None
    items: Any = None  # of a map whose list the run's own arguments have

    def texts(self) -> tuple[str, str]:
        """The arguments as jobs keep them: JSON texts of an array and of an object."""
        return msgspec.json.encode(self.args).decode(), msgspec.json.encode(self.kwargs).decode()

    def text(self) -> str:
        """JSON text that `read` reads."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> Calling:
        """What `text` wrote."""
        return msgspec.json.decode(text, type=cls)


def calling(node: Node, arguments: Mapping[str, Any], jobs: Mapping[str, str]) -> Calling:
    """The call of a node in a run with these `arguments`, whose nodes have these `jobs` (ids by name): with all that is
    known when the run begins.

    :raises ArgumentsRefused: what it takes of the arguments is not there.
    """
    call = Calling(msgspec.json.decode(node.args), msgspec.json.decode(node.kwargs))
    for take in node.takes:
        if take.node and not take.job:
            call.takes.append(msgspec.structs.replace(take, node=jobs[take.node]))
        else:
            fill(call, take, jobs[take.node] if take.job else arguments)
    over = node.over
    if over is not None and over.node:
        call.over = msgspec.structs.replace(over, node=jobs[over.node])
    elif over is not None:
        call.over, call.items = msgspec.structs.replace(over, path=()), taken(arguments, over)
    return call


def fill(call: Calling, take: Take, value: Any) -> None:
    """Put what `take` takes of `value` into `call`.

    :raises ArgumentsRefused: it is not there, or there is no such place in the call.
    """
    try:
        found = taken(value, take)
    except ArgumentsRefused:
        if take.optional:
            return
        raise
    put(call, take.into, found)


def taken(value: Any, take: Take) -> Any:
    """What lies at the path of `take` in `value`.

    :raises ArgumentsRefused: nothing does.
    """
    for step in take.path:
        inside = type(value) is dict if isinstance(step, str) else type(value) is list
        try:
            value = value[step] if inside else {}[step]  # type: ignore[index]
        except LookupError:
            raise ArgumentsRefused(f"There is nothing at {_shown(take.path)} for {_shown(take.into)}.") from None
    return value


def items(call: Calling, value: Any) -> list[Any]:
    """The items of a map; `value` is the result that it takes them from, if it does.

    :raises ArgumentsRefused: it is no list, or there are too many.
    """
    found = taken(value, call.over) if call.over is not None and call.over.node else call.items
    if type(found) is not list:
        raise ArgumentsRefused(f"Only a list can be mapped over, not {type(found).__name__}.")
    if len(found) > MOST:
        raise ArgumentsRefused(f"The list has {len(found)} items; {MOST} are allowed.")
    return found


def put(call: Calling, into: Path, value: Any) -> None:
    """Put `value` at a place in `call`; one that is next after an array's last appends to it.

    :raises ArgumentsRefused: there is no such place.
    """
    if into == ("kwargs",):
        if type(value) is not dict:
            raise ArgumentsRefused("Only an object can be merged into the arguments.")
        call.kwargs.update(value)
        return
    where: Any = {"args": call.args, "kwargs": call.kwargs}
    try:
        for step in into[:-1]:
            where = where[step]
        last = into[-1]
        if type(where) is list and last == len(where):
            where.append(value)
        else:
            where[last] = value
    except (LookupError, TypeError):
        raise ArgumentsRefused(f"The call has no place {_shown(into)}.") from None


def _shown(path: Path) -> str:
    return ".".join(map(str, path)) or "the whole"
