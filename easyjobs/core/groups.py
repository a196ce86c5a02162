"""Groups: a job that says "ALL" for a parameter becomes a job for each of its values, and ends when those have."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from easyjobs.core.events import error_text
from easyjobs.core.job import Job
from easyjobs.core.signature import ALL, Signature
from easyjobs.core.states import COMPLETED, State
from easyjobs.core.task import Options

PAGE: Final = 500
"""Members that are made in one transaction. A larger group is made in several, and waits for none before the last."""

MOST: Final = 10_000
"""Members of one group."""


def spread(options: Options, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters for which a job with these `arguments` (all of them, defaults too) says "ALL"."""
    return tuple(name for name in options.write_all if arguments.get(name) == ALL)


def size(signature: Signature, names: Iterable[str]) -> int:
    """How many members a group has that is spread over these parameters."""
    return math.prod(len(_values(signature, name)) for name in names)


def members(
    signature: Signature, names: tuple[str, ...], arguments: Mapping[str, Any], start: int
) -> Iterator[dict[str, Any]]:
    """The arguments of its members number `start`, …, a page of them; the last parameter varies fastest."""
    combinations = itertools.product(*(_values(signature, name) for name in names))
    for values in itertools.islice(combinations, start, start + PAGE):
        yield {**arguments, **dict(zip(names, values, strict=True))}


def _values(signature: Signature, name: str) -> list[Any]:
    default = next((p.default for p in signature.parameters if p.name == name), None)
    # a default of None makes None a value; it was not listed by the author
    return [v for v in signature.choices(name) or () if v != ALL and (v is not None or default is not None)]


class Progress(msgspec.Struct, omit_defaults=True):
    """What the row of a group, a map or a run keeps of its progress: how many `members` it is to have, `upto` which
    number they are made, and for how many it waits: fewer, where a task is unique, or for a run, whose last ones count.
    `mapped`: its result is the list of theirs.
    """

    members: int = 0
    upto: int = 0
    made: int = 0
    mapped: bool = False


def progress_of(job: Job) -> Progress:
    """What a group's row says; nothing, where that is not known yet."""
    try:
        return msgspec.json.decode(job.progress or "{}", type=Progress)
    except msgspec.DecodeError:
        return Progress()


def shown_progress(job: Job) -> str | None:
    """The progress of any job, as people are shown it: that of a group follows its members."""
    if job.is_run:
        return None  # by state, and so by others: see `Store.by_run`
    if job.turn not in ("spread", "map", "gather") or job.progress is None:
        return job.progress
    kept = progress_of(job)
    ended = max(0, kept.made - job.deps_left)
    total = kept.made if job.turn == "gather" else kept.members
    share = ended / total if total else 0.0
    return msgspec.json.encode({"value": share, "note": f"{ended} of {total} jobs have ended"}).decode()


class Summary(msgspec.Struct):
    """How a group ends: its result, or the error of one that failed."""

    result: str | None = None
    error: str | None = None


def summary(states: Mapping[str, State]) -> Summary:
    """The end of a group whose members, by id, ended in these states."""
    counts = Counter(states.values())
    if counts[COMPLETED] == len(states):
        return Summary(result=msgspec.json.encode({"jobs": len(states)}).decode())
    first = next(id for id, state in states.items() if state != COMPLETED)
    return Summary(error=error_text("MembersFailed", f"{told(counts)}; the first is {first}"))


def counted(states: Iterable[State]) -> dict[State, int]:
    """How many there are of each."""
    return dict(Counter(states))


def told(counts: Mapping[State, int]) -> str:
    """How jobs ended that did not all complete, in words."""
    total = sum(counts.values())
    each = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    return f"{total - counts.get(COMPLETED, 0)} of {total} jobs did not complete ({each})"
