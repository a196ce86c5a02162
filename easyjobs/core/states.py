"""The states of a job, and the one table of moves between them.

The state diagram and table in the docs are generated from here. `lifecycle.advance` asks `allowed` for every move;
what the table does not hold is refused.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

State: TypeAlias = Literal["waiting", "queued", "running", "retry", "completed", "failed", "cancelled", "skipped"]

FinalState: TypeAlias = Literal["completed", "failed", "cancelled", "skipped"]

WAITING: Final = "waiting"
QUEUED: Final = "queued"
RUNNING: Final = "running"
RETRY: Final = "retry"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
SKIPPED: Final = "skipped"

STATES: Final[tuple[State, ...]] = (WAITING, QUEUED, RUNNING, RETRY, COMPLETED, FAILED, CANCELLED, SKIPPED)
FINAL: Final[frozenset[State]] = frozenset((COMPLETED, FAILED, CANCELLED, SKIPPED))
CLAIMABLE: Final[frozenset[State]] = frozenset((QUEUED, RETRY))


class Transition(NamedTuple):
    """One row of the table: `source` None is the submission of a new job."""

    source: State | None
    target: State
    by: str
    also: str = ""


TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(None, WAITING, "submitted, with prerequisites", "idempotency key; edges; depth limit"),
    Transition(None, QUEUED, "submitted", "idempotency key; depth limit"),
    Transition(None, RUNNING, "submitted to an empty lane with a free worker", "attempt 1, token, session"),
    Transition(None, COMPLETED, "kept of the run that this one repeats", "result"),
    Transition(None, FAILED, "made by a chain, with arguments that do not bind", "error; `on_failure` job"),
    Transition(None, SKIPPED, "a node of a large run, made after what it waits for had ended badly", "error"),
    Transition(WAITING, QUEUED, "last prerequisite met", "in the prerequisite's own terminal transaction"),
    Transition(WAITING, WAITING, "its task became known, and has prerequisites; a run is to stop", "edges"),
    Transition(WAITING, COMPLETED, "a group or a run, of which all jobs have completed", "result; limits released"),
    Transition(WAITING, FAILED, "a prerequisite, a member or a node ended badly, or the row cannot be read", "error"),
    Transition(WAITING, CANCELLED, "cancel; of a run, when its nodes have ended"),
    Transition(WAITING, SKIPPED, "start deadline passed, or a node of a run whose prerequisite ended badly"),
    Transition(QUEUED, RUNNING, "claim", "attempt + 1, token, session, limits charged"),
    Transition(
        QUEUED, WAITING, "its turn, and what it depends on is not fresh, or it is a group or a run", "new jobs; edges"
    ),
    Transition(QUEUED, QUEUED, "its turn, and it may run now, or is a large group or run", "arguments; new jobs"),
    Transition(QUEUED, COMPLETED, "a map over nothing, or a run of which nothing is left to do", "result"),
    Transition(QUEUED, FAILED, "the row cannot be read, or what it depends on cannot be called", "error"),
    Transition(QUEUED, CANCELLED, "cancel"),
    Transition(QUEUED, SKIPPED, "start deadline passed"),
    Transition(RETRY, RUNNING, "claim", "attempt + 1, token, session, limits charged"),
    Transition(RETRY, FAILED, "the row cannot be read", "error"),
    Transition(RETRY, CANCELLED, "cancel"),
    Transition(RETRY, SKIPPED, "start deadline passed"),
    Transition(RUNNING, QUEUED, "handed back, never started, or its worker died", "limits released"),
    Transition(RUNNING, COMPLETED, "result", "result; limits released"),
    Transition(RUNNING, RETRY, "retryable error, or its worker died, with attempts left", "failures or crashes + 1"),
    Transition(RUNNING, FAILED, "final error, no attempts left, three crashes in 24 h, or died under `never`", "error"),
    Transition(RUNNING, CANCELLED, "cancel acknowledged, forced, or its worker died meanwhile", "limits released"),
)

_ALLOWED: Final[frozenset[tuple[State | None, State]]] = frozenset((t.source, t.target) for t in TRANSITIONS)


def allowed(source: State | None, target: State) -> bool:
    """Whether the table has the move from `source` (None: a new job) to `target`."""
    return (source, target) in _ALLOWED
