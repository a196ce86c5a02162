"""The only door to identifiers and randomness; tests and simulations put a seeded source in its place."""

from __future__ import annotations

import hashlib
import os
import random as _random
import re
import time as _time


class Ids:
    """A source of job ids, tokens and jitter. `seed` makes all of it repeatable; without one it is the system's."""

    def __init__(self, seed: int | None = None) -> None:
        self._seeded = seed is not None
        self._random = _random.Random(seed)  # noqa: S311 - jitter and the low bits of ids; tokens come from the system
        self._last = 0

    def job_id(self, now: float | None = None) -> str:
        """A UUID of version 7 (RFC 9562 §5.7) as text. Those of one source grow strictly, whatever the clock does."""
        ms = int((_time.time() if now is None else now) * 1000)
        # RFC 9562 §6.2, method 2: within one millisecond the random part only grows
        value = (ms << 74) | self._random.getrandbits(74)
        if value <= self._last:
            value = self._last + 1 + self._random.getrandbits(32)
        self._last = value
        low = f"{0x8000000000000000 | (value & 0x3FFFFFFFFFFFFFFF):016x}"
        high = f"{value >> 74:012x}"
        return f"{high[:8]}-{high[8:]}-7{(value >> 62) & 0xFFF:03x}-{low[:4]}-{low[4:]}"

    def tokens(self, n: int) -> list[str]:
        """`n` secrets of 96 random bits, in hex."""
        raw = self._random.randbytes(12 * n) if self._seeded else os.urandom(12 * n)
        text = raw.hex()
        return [text[i : i + 24] for i in range(0, 24 * n, 24)]

    def token(self) -> str:
        """One secret of 96 random bits, in hex."""
        return self.tokens(1)[0]

    def jitter(self) -> float:
        """A number from 0 to 1."""
        return self._random.random()


def derived_id(id: str, what: str) -> str:
    """The id of the one job that comes from job `id` by `what`: always the same, and beside it in order of time."""
    more = hashlib.blake2b(f"{what}:{id}".encode(), digest_size=16).hexdigest()
    return f"{id[:13]}-7{more[:3]}-{'89ab'[int(more[3], 16) % 4]}{more[4:7]}-{more[7:19]}"


def is_job_id(text: str) -> bool:
    """Whether `text` is a UUID in its one canonical spelling: 36 characters, lower case."""
    return _canonical(text) is not None


_canonical = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z").match
