"""Many submissions, cut into parts that travel and are answered for together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from easyjobs.errors import Refused, TooLarge
from easyjobs.protocol.messages import Submission
from easyjobs.protocol.outbox import size_of_submission

PART_JOBS: Final = 1_000
PART_BYTES: Final = 1024 * 1024


class Part:
    """Submissions that are answered for together: their ids, and the ids of the jobs that stand for them."""

    __slots__ = ("answered", "left", "refused", "size", "stand_ins")

    def __init__(self, left: int, size: int, answered: asyncio.Future[None]) -> None:
        self.left = left
        self.size = size
        self.answered = answered
        self.refused: Refused | None = None
        self.stand_ins: dict[str, str] = {}


def in_parts(jobs: list[Submission], together: bool, frame: int) -> Iterator[tuple[list[Submission], int]]:
    """Parts that are answered one by one, each well below the limit of a frame, with their sizes.

    :raises TooLarge: `together` they do not fit into one.
    """
    part: list[Submission] = []
    used = 0
    most = frame - 1024 if together else PART_BYTES
    for job in jobs:
        size = size_of_submission(job)
        if part and not together and (len(part) == PART_JOBS or used + size > most):
            yield part, used
            part, used = [], 0
        part.append(job)
        used += size
    if together and used > most:
        raise TooLarge(f"jobs that are made together must fit into {most} bytes; these may take {used}")
    if part:
        yield part, used
