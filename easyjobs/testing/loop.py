"""An event loop on virtual time: hours pass in milliseconds, and one seed always gives one story.

    def test_it_gives_up_after_an_hour():
        assert run(wait_for_an_hour, seed=7) == "gave up"

Nothing waits for real: when no callback is ready, the clock jumps to the next timer. Threads and sockets have no
virtual time, so the loop refuses both.
"""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import struct
import zlib
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_767_225_600.0
"""What a `VirtualClock` without an offset shows when its loop begins: 2026-01-01 00:00 UTC."""


class Stuck(AssertionError):
    """A simulation that cannot end. The message tells which coroutines wait, and where."""


class Deadlock(Stuck):
    """No callback is ready and no timer is set: nothing can ever happen again."""


class Livelock(Stuck):
    """Callbacks make each other ready for ever, and no time passes."""


class _Timeline(selectors.BaseSelector):
    """Where a loop would wait for sockets, this one moves time."""

    def __init__(self, start: float, turns: int) -> None:
        self.now = start
        self.fingerprint = 0
        self._allowed = turns
        self._turns = 0
        self._own: dict[Any, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        if timeout > 0:
            self.now += timeout
            self.note(struct.pack("<dI", self.now, self._turns))
            self._turns = 0
        else:
            self._turns += 1
            if self._turns > self._allowed:
                self._turns = 0
                raise Livelock(f"{self._allowed} turns of the loop without time passing")
        return []

    def note(self, what: bytes) -> None:
        self.fingerprint = zlib.crc32(what, self.fingerprint)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._own:
            raise NotImplementedError("a virtual loop has no sockets or pipes: use easyjobs.testing.network")
        # the loop's own pipe, by which other threads would wake it
        self._own[fileobj] = key = selectors.SelectorKey(fileobj, fileobj, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._own.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._own


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose `time()` only moves when all that is ready has run. Usually made by `run`.

    `seed` and `random` are for the story told on it. `turns` bounds how often the loop may turn at one moment.
    """

    def __init__(self, seed: int = 0, *, start: float = 1000.0, turns: int = 100_000) -> None:
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - for faults, not for secrets
        self._timeline = _Timeline(start, turns)
        self._living: dict[asyncio.Task[Any], None] = {}  # a dict for its order
        super().__init__(self._timeline)
        self.set_task_factory(self._started)

    def time(self) -> float:
        """Seconds of virtual time; begins at `start`."""
        return self._timeline.now

    @property
    def fingerprint(self) -> int:
        """A number that two runs of one seed share if they took the same turns at the same times."""
        return self._timeline.fingerprint

    def note(self, text: str) -> None:
        """Mix a fact of the story into the fingerprint."""
        self._timeline.note(text.encode())

    def waiting(self) -> list[str]:
        """The coroutines that have not ended, oldest first: name, file and line."""
        return [_whereabouts(t) for t in self._living if not t.done()]

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """The same as `call_soon`: there are no other threads."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Executor | None, func: Callable[[Unpack[Ts]], Any], *args: *Ts) -> NoReturn:
        """Refused: a thread has a time of its own.

        :raises NotImplementedError: always.
        """
        raise NotImplementedError(f"a virtual loop has no threads: {func!r} has to run inline in a simulation")

    def finish(self, rounds: int = 10, patience: float = 60.0) -> None:
        """Cancel what still runs, oldest first, and let up to `patience` virtual seconds pass, `rounds` times.

        :raises Stuck: something swallowed every cancellation.
        """
        for _ in range(rounds):
            left = [t for t in self._living if not t.done()]
            if not left:
                return
            for t in left:
                t.cancel("the simulation ends")
            self.run_until_complete(asyncio.wait(left, timeout=patience))
        if self.waiting():
            raise Stuck("these swallow every cancellation:" + _listed(self.waiting()))

    def _started(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        created: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        self._living[created] = None
        created.add_done_callback(self._ended)
        return created

    def _ended(self, done: asyncio.Task[Any]) -> None:
        self._living.pop(done, None)


class VirtualClock:
    """A node's clock over a loop: `monotonic()` is the loop's time, `wall()` may be wrong by `offset` and jump.

    :param offset: seconds that the wall is ahead of the truth; `drift`: seconds that it gains each second.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, offset: float = 0.0, drift: float = 0.0) -> None:
        self._loop = loop
        self._start = loop.time()
        self._offset = offset
        self._drift = drift

    def wall(self) -> float:
        """Seconds since 1970 UTC, as this node believes."""
        passed = self._loop.time() - self._start
        return EPOCH + passed * (1.0 + self._drift) + self._offset

    def monotonic(self) -> float:
        """Seconds of the loop's time."""
        return self._loop.time()

    def jump(self, seconds: float) -> None:
        """Set the wall forward, or back when negative. May be called again."""
        self._offset += seconds


def run(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T],
    seed: int = 0,
    *,
    turns: int = 100_000,
) -> T:
    """Run a coroutine, or what a function makes of the loop, to its end on virtual time; then end all that it left.

    :returns: what `main` returned.
    :raises Deadlock, Livelock: it cannot end. Stuck: something it left swallows every cancellation. Else what `main`
        raised.
    """
    loop = VirtualLoop(seed, turns=turns)
    collecting = gc.isenabled()
    gc.disable()  # a collection runs finalizers at moments that depend on what ran before
    try:
        try:
            return loop.run_until_complete(main(loop) if callable(main) else main)
        except Stuck as stuck:
            stuck.args = (f"{stuck} (seed {seed}, at {loop.time():.6f} s); waiting:{_listed(loop.waiting())}",)
            raise
        finally:
            loop.finish()
    finally:
        loop.close()
        if collecting:
            gc.enable()


def _whereabouts(waiting: asyncio.Task[Any]) -> str:
    inner: Any = waiting.get_coro()
    place = ""
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)
        if frame is not None:
            place = f" at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
    return f"{waiting.get_name()}{place}"


def _listed(lines: list[str]) -> str:
    return "".join(f"\n  - {line}" for line in lines) or " nobody"
