"""The manager's side of one connection, sans I/O: what may be said when, what leaves in which frame, and when a silent
peer is gone.

Feed `receive` with each frame; call `frames` once in each turn of the loop in which something was `say`ed and send what
it gives; call `tick` when `timer` has come. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeVar

from easyjobs.errors import ProtocolError
from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import (
    PROTOCOL,
    Ack,
    Assignment,
    Await,
    CancelJobs,
    Credit,
    Ended,
    Finished,
    Forget,
    FromManager,
    FromPeer,
    Goodbye,
    Heartbeat,
    Hello,
    Limits,
    Log,
    Ping,
    Progress,
    Register,
    Result,
    Role,
    Started,
    Submit,
    Toggle,
)

AUTH: Final = 4401
BROKEN: Final = 4406
SLOW: Final = 4408
REPLACED: Final = 4409
UNFIT: Final = 4422
TOO_LARGE: Final = 4413

_CLIENT = (Submit, Await, Forget, CancelJobs, Goodbye, Ping)
MAY_SAY: Final[dict[Role, frozenset[type]]] = {
    "client": frozenset(_CLIENT),
    "watchdog": frozenset((Heartbeat, Goodbye, Ping)),
    "worker": frozenset((*_CLIENT, Register, Started, Finished, Progress, Log, Heartbeat, Credit, Toggle)),
    "child": frozenset((*_CLIENT, Finished, Progress, Log)),
}


T = TypeVar("T")


def weight_of_end(end: Ended) -> int:
    """About how many bytes it takes in a frame."""
    return 80 + memoryview(end.result).nbytes + memoryview(end.error).nbytes


def weight_of_assignment(job: Assignment) -> int:
    """About how many bytes it takes in a frame."""
    return 300 + memoryview(job.args).nbytes + memoryview(job.kwargs).nbytes


def parts(items: list[T], weight_of: Callable[[T], int], limit: int) -> list[tuple[list[T], int]]:
    """`items` cut into runs of at most `limit` bytes, or of one item, each with its weight."""
    cut: list[tuple[list[T], int]] = []
    part: list[T] = []
    used = 0
    for item in items:
        weight = weight_of(item)
        if part and used + weight > limit:
            cut.append((part, used))
            part, used = [], 0
        part.append(item)
        used += weight
    if part:
        cut.append((part, used))
    return cut


class ManagerSide:
    """The rules of one connection (docs/protocol.md): hello first and once, silence until welcome, then what the role
    may say; frames within the limit; bounded words on their way out.
    """

    def __init__(
        self, limits: Limits, now: float, *, roles: frozenset[str], hello: float, send: float, outbox: int
    ) -> None:
        self._limits = limits
        self._roles = roles
        self._hello_by = now + hello
        self._send = send
        self._most = outbox
        self._out: list[tuple[FromManager, int]] = []
        self._ends: list[Ended] = []
        self._judged: dict[str, list[str]] = {"applied": [], "duplicate": [], "stale": []}
        self._weight = 0
        self._heard_at = now
        self._said_at = now
        self._sending_since: float | None = None
        self.role: Role | None = None
        self.welcomed = False

    def receive(self, frame: bytes | str, now: float) -> list[FromPeer]:
        """The messages of a frame, all of them allowed here and now.

        :raises ProtocolError: anything else, with the close code; nothing of that frame may be acted on.
        """
        self._heard_at = now
        if len(frame) > self._limits.frame:
            raise ProtocolError(f"a frame of {len(frame)} bytes; {self._limits.frame} are allowed", TOO_LARGE)
        messages = decode_from_peer(frame)
        for message in messages:
            kind = type(message)
            if kind is Hello:
                self._greeted(message)  # type: ignore[arg-type]
            elif self.role is None:
                raise ProtocolError("hello must come first", BROKEN)
            elif not self.welcomed:
                raise ProtocolError("wait for welcome before you say more", BROKEN)
            elif kind not in MAY_SAY[self.role]:
                raise ProtocolError(f"a {self.role} may not say {kind.__name__.lower()}", BROKEN)
        return messages

    def _greeted(self, hello: Hello) -> None:
        if self.role is not None:
            raise ProtocolError("hello came twice", BROKEN)
        if hello.protocol != PROTOCOL:
            raise ProtocolError(f"protocol {hello.protocol}; this manager speaks {PROTOCOL}", BROKEN)
        if hello.role not in self._roles:
            raise ProtocolError(f"this credential may not speak as {hello.role}", AUTH)
        if hello.role in ("worker", "watchdog") and not 0 < len(hello.worker_id) <= 128:
            raise ProtocolError("worker_id must have 1 to 128 characters", BROKEN)
        self.role = hello.role

    def say(self, message: FromManager, weight: int = 0) -> None:
        """Let `message` leave with the others of this turn; `weight` is about how many bytes it has beyond a few.

        :raises ProtocolError: the peer reads too slowly: more waits than is allowed. Close with the code.
        """
        self._out.append((message, weight))
        self._weigh(weight)

    def ended(self, end: Ended) -> None:
        """Let the peer know the end of a job it awaits; all of a turn leave in one `result`. Raises as `say` does."""
        self._ends.append(end)
        self._weigh(weight_of_end(end))

    def judged(self, id: str, judgement: Literal["applied", "duplicate", "stale"]) -> None:
        """Acknowledge an outcome; all of a turn leave in one `ack`. Raises as `say` does."""
        self._judged[judgement].append(id)
        self._weigh(0)

    def _weigh(self, weight: int) -> None:
        self._weight += weight + 100
        if self._weight > self._most and self._sending_since is not None:
            raise ProtocolError("the peer reads too slowly", SLOW)

    def frames(self, now: float) -> list[bytes]:
        """Encode all that was said: one frame, or several under the limit. Call `sent` when they have left."""
        if not self._weight:
            return []
        self._said_at = self._sending_since = now
        out, self._out = self._out, []
        if any(self._judged.values()):
            out.append((Ack(**self._judged), 40 * sum(map(len, self._judged.values()))))
            self._judged = {"applied": [], "duplicate": [], "stale": []}
        if self._ends:
            ends, self._ends = self._ends, []
            out.extend((Result(part), weight) for part, weight in parts(ends, weight_of_end, self._limits.frame // 2))
        self._weight = 0
        frames: list[bytes] = []
        frame: list[FromManager] = []
        used = 0
        for message, weight in out:
            if frame and used + weight > self._limits.frame // 2:
                frames.append(encode(frame))
                frame, used = [], 0
            frame.append(message)
            used += weight + 100
        frames.append(encode(frame))
        return frames

    def sent(self) -> None:
        """The frames have left."""
        self._sending_since = None

    def timer(self) -> float:
        """When to call `tick` next."""
        if self.role is None:
            return self._hello_by
        due = min(self._heard_at + self._limits.silence, self._said_at + self._limits.heartbeat)
        return due if self._sending_since is None else min(due, self._sending_since + self._send)

    def tick(self, now: float, *, patient: bool = False) -> None:
        """Time has passed: say ping where nothing was said for a heartbeat.

        :param patient: another voice of the peer vouches for it (its loop is blocked): silence is forgiven.
        :raises ProtocolError: the peer never said hello, fell silent, or does not read. Close with the code.
        """
        if self.role is None:
            if now >= self._hello_by:
                raise ProtocolError("no hello came", SLOW)
            return
        if patient:
            self._heard_at = now
            if self._sending_since is not None:
                self._sending_since = now
        if now >= self._heard_at + self._limits.silence:
            raise ProtocolError(f"nothing was heard for {self._limits.silence:g} s", SLOW)
        if self._sending_since is not None:
            if now >= self._sending_since + self._send:
                raise ProtocolError(f"a frame could not be sent for {self._send:g} s", SLOW)
        elif now >= self._said_at + self._limits.heartbeat:
            self.say(Ping())
            self._said_at = now
