"""What a worker and its child process say to each other over their pipe, which no program but these two sees.

A word is four bytes that say how long it is, and so much JSON. The worker says the order first; each of the others may
come at any time. When the pipe ends, the other side is gone.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from easyjobs.executors.ran import Ran
from easyjobs.protocol.messages import EMPTY_LIST, EMPTY_OBJECT

VARIABLE: Final = "EASYJOBS_CHILD"
"""The variable that tells a child process which of its files is the pipe."""

HEAD: Final = 4
CUT_OFF: Final = 74
"""The exit status of a child process whose task has closed the pipe."""


class Order(msgspec.Struct, omit_defaults=True):
    """The attempt to make. It, and the token in it, go through the pipe alone: no argument, no variable holds them.

    `function` is "module:qualname", "" for the script that runs; `main` the file to load where that module is
    `__main__`; `path` the places where modules are looked for. `address`: the manager's websocket, "" where a child
    process cannot know it. `anything`: nobody said what the parameters are, so that an argument "args" is those by
    place. `as_written`: what of the arguments does not fit an annotation is passed as it is. `relayed`: what there is
    to say to the manager may go through the worker.
    """

    job: str
    attempt: int
    token: str
    queue: str
    task: str
    max_attempts: int = 1
    args: msgspec.Raw = EMPTY_LIST
    kwargs: msgspec.Raw = EMPTY_OBJECT
    function: str = ""
    main: str = ""
    path: list[str] = []
    anything: bool = False
    as_written: bool = False
    address: str = ""
    relayed: bool = False
    no_retry_on: tuple[str, ...] = ()
    result_limit: int = 1_048_576
    depth_limit: int = 64
    traceback_limit: int = 65_536


# -- said by the child


class Begun(msgspec.Struct, tag_field="t", tag="begun"):
    """I have the order, and call the function."""


class Told(msgspec.Struct, tag_field="t", tag="told"):
    """A line of the job's log."""

    level: str
    text: str


class Reached(msgspec.Struct, tag_field="t", tag="reached"):
    """How far the job is."""

    value: float | None
    note: str


class Parks(msgspec.Struct, tag_field="t", tag="parks"):
    """The job awaits another: its slot is free. `n` is one of the child's own making."""

    n: int


class Resumes(msgspec.Struct, tag_field="t", tag="resumes"):
    """That wait is over; I go on when `resumed` names it."""

    n: int


class Dials(msgspec.Struct, tag_field="t", tag="dials"):
    """I want to speak with the manager through you. `n` is one of the child's own making."""

    n: int


class Says(msgspec.Struct, tag_field="t", tag="says"):
    """A frame for the manager."""

    n: int
    frame: msgspec.Raw


class HangsUp(msgspec.Struct, tag_field="t", tag="hangs_up"):
    """I have nothing more to say there. Answered by `hung_up`."""

    n: int


class Done(msgspec.Struct, tag_field="t", tag="done"):
    """The function has ended, and all that it said is in the pipes. Answered by `report` or `drop`."""


class Recorded(msgspec.Struct, tag_field="t", tag="recorded"):
    """The manager has acknowledged the outcome: I exit."""


class Handed(msgspec.Struct, tag_field="t", tag="handed"):
    """I could not reach the manager: report this as your own. I exit."""

    ran: Ran


# -- said by the worker


class Report(msgspec.Struct, tag_field="t", tag="report"):
    """Report your outcome to the manager."""


class Drop(msgspec.Struct, tag_field="t", tag="drop"):
    """It is too late (the job was cancelled, its time was over): exit."""


class Resumed(msgspec.Struct, tag_field="t", tag="resumed"):
    """The job has a slot again."""

    n: int


class Heard(msgspec.Struct, tag_field="t", tag="heard"):
    """A frame from the manager."""

    n: int
    frame: msgspec.Raw


class HungUp(msgspec.Struct, tag_field="t", tag="hung_up"):
    """That link to the manager is over; `code` and `reason` as it was closed with."""

    n: int
    code: int
    reason: str


ForManager: TypeAlias = Dials | Says | HangsUp
FromChild: TypeAlias = Begun | Told | Reached | Parks | Resumes | ForManager | Done | Recorded | Handed
FromWorker: TypeAlias = Report | Drop | Resumed | Heard | HungUp

decode_from_child: Final = msgspec.json.Decoder(FromChild).decode
decode_from_worker: Final = msgspec.json.Decoder(FromWorker).decode
decode_order: Final = msgspec.json.Decoder(Order).decode


def word(message: Order | FromChild | FromWorker) -> bytes:
    """A message as it goes through the pipe."""
    text = msgspec.json.encode(message)
    return len(text).to_bytes(HEAD, "big") + text
