"""The lines of attempts on their way to the manager: each told until it is stored, the head and the tail of a flood."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from easyjobs.protocol.messages import Limits, Log

COST: Final = 32
"""What a line counts for beside the bytes of its text."""

SHARE: Final = 8
"""Once lines are left out, this part of the limit may be sent in the time of a heartbeat."""

_GAP = " … "


def speakable(text: str) -> str:
    """`text` without what a frame cannot carry: lone surrogates are shown as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8: its head and its tail."""
    if len(text) * 4 <= limit:
        return text
    raw = text.encode()
    if len(raw) <= limit:
        return text
    half = max(0, limit - len(_GAP.encode())) // 2
    return raw[:half].decode(errors="ignore") + _GAP + raw[len(raw) - half :].decode(errors="ignore")


class _Line(NamedTuple):
    number: int
    size: int
    said: tuple[float, str, str]


class _Part:
    """Lines in their order: some `waiting` to be sent, some `sent` and not stored yet."""

    __slots__ = ("sent", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Line] = deque()
        self.sent: deque[_Line] = deque()

    def stored(self, number: int) -> None:
        while self.sent and self.sent[0].number <= number:
            self.sent.popleft()

    def forget(self, number: int) -> None:
        """The line `number`, the oldest of all, need not be sent any more."""
        for lines in (self.sent, self.waiting):
            if lines and lines[0].number == number:
                lines.popleft()

    def again(self) -> None:
        self.sent.extend(self.waiting)
        self.waiting, self.sent = self.sent, deque()


class AttemptLog:
    """The lines of one attempt, numbered from 1, from when they are said until the manager has stored them.

    As long as all of them fit into `limits.logs`, all are sent as they come. Of more, the lines in the first half of
    the limit stay, and of the rest the newest that fit into the other half: older ones are left out, or dropped from
    the store where they have been sent. From then on an eighth of the limit may be sent for each `refill`.
    """

    __slots__ = (
        "_budget",
        "_dropped",
        "_ended",
        "_head",
        "_head_end",
        "_head_size",
        "_job",
        "_last",
        "_out",
        "_over",
        "_reached",
        "_tail",
        "_tail_lines",
        "_tail_size",
    )

    def __init__(self, job: str, attempt: int, token: str) -> None:
        self._job = (job, attempt, token)
        self._last = 0  # number of the newest line
        self._head = _Part()
        self._head_size = 0
        self._head_end = 0
        self._tail = _Part()
        self._tail_lines: deque[tuple[int, int]] = deque()  # number and size of all of the tail, stored or not
        self._tail_size = 0
        self._over = False
        self._out = 0  # number of the newest line that was sent and is not wanted any more
        self._dropped = 0  # … as far as the manager was told
        self._reached = 0  # highest number that was ever sent
        self._budget = 0
        self._ended = False

    @property
    def attempt(self) -> int:
        """Whose lines these are."""
        return self._job[1]

    @property
    def over(self) -> bool:
        """Whether lines were left out, so that sending waits for `refill`."""
        return self._over and not self._ended

    @property
    def size(self) -> int:
        """How many bytes of lines the manager has not stored."""
        parts = (self._head, self._tail)
        return sum(line.size for part in parts for lines in (part.sent, part.waiting) for line in lines)

    def add(self, at: float, level: str, text: str, limits: Limits) -> None:
        """Take a line, `at` seconds since 1970. Call `take` next."""
        text = shortened(speakable(text), limits.log_line)
        size = len(text.encode()) + COST
        half = limits.logs // 2
        self._last += 1
        line = _Line(self._last, size, (at, level, text))
        if not self._tail_lines and self._head_size + size <= half:
            self._head_size += size
            self._head_end = self._last
            self._head.waiting.append(line)
            return
        self._tail.waiting.append(line)
        self._tail_lines.append((self._last, size))
        self._tail_size += size
        while self._tail_size > half and len(self._tail_lines) > 1:
            number, size = self._tail_lines.popleft()
            self._tail_size -= size
            self._tail.forget(number)
            if number <= self._reached:
                self._out = number
            self._over = True

    def refill(self, limits: Limits) -> bool:
        """Let more be sent where lines were left out, unless what was sent is not stored yet. Whether any waits."""
        if not self._tail.sent:
            self._budget = limits.logs // SHARE
        return bool(self._tail.waiting)

    def take(self, limits: Limits) -> list[Log]:
        """What to send now, in messages that each fit well into a frame."""
        logs: list[Log] = []
        self._send(self._head, limits, logs)
        self._send(self._tail, limits, logs)
        if logs:
            self._reached = max(self._reached, logs[-1].first + len(logs[-1].lines) - 1)
        if self._out > self._dropped:
            for log in logs:
                if log.first > self._out:
                    log.drop = (self._head_end + 1, self._out)
                    self._dropped = self._out
                    break
        return logs

    def _send(self, part: _Part, limits: Limits, logs: list[Log]) -> None:
        most = max(1, limits.frame // 8 - limits.log_line)  # a byte may become six in JSON
        used = most
        following = 0
        while part.waiting and (self._budget > 0 or not self.over or part is self._head):
            line = part.waiting.popleft()
            part.sent.append(line)
            if used >= most or line.number != following:
                logs.append(Log(*self._job, [], first=line.number))
                used = 0
            logs[-1].lines.append(line.said)
            following = line.number + 1
            used += line.size
            self._budget -= line.size

    def stored(self, number: int) -> None:
        """The manager has stored what was sent up to `number`. May be called again."""
        self._head.stored(number)
        self._tail.stored(number)

    def again(self) -> bool:
        """The connection is gone: what is not stored is to be sent again. Whether there is any."""
        self._head.again()
        self._tail.again()
        self._dropped = 0
        return bool(self._head.waiting or self._tail.waiting)

    def end(self) -> None:
        """The attempt is over: all that is left may go. Call `take` next."""
        self._ended = True
