"""A second voice for a worker whose loop is blocked by user code: a thread that notices, says so in the log, and keeps
the lease alive over a connection of its own (role `watchdog`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final

from easyjobs.clock import Clock
from easyjobs.errors import ConnectionLost, ProtocolError, Unauthorized
from easyjobs.protocol.codec import decode_from_manager, encode
from easyjobs.protocol.messages import Heartbeat, Held, Hello
from easyjobs.wire.dial_sync import SyncLink
from easyjobs.wire.link import LinkClosed

log = logging.getLogger("easyjobs")

POLL: Final = 0.5
BLOCKED_AFTER: Final = 2.0
GIVE_UP_AFTER: Final = 600.0
EXIT_CODE: Final = 70

SyncDialler = Callable[[float], SyncLink]
"""Dials the manager, each step within so many seconds."""


class Watchdog:
    """Watches one event loop. `start` on the loop's thread, once; `stop` once.

    :param hello: how to greet the manager, `held`: what to name in heartbeats, `culprit`: the task that is on the loop,
        if it is one; all three are called from the watchdog's thread while the loop is blocked.
    :param dial: None for a worker inside its manager, whose lease nobody can lose: then it only logs.
    :param heartbeat: seconds between heartbeats, as of now.
    :param exits: whether the process ends after ten minutes (a stand-alone worker), else the watchdog falls silent.
    """

    def __init__(
        self,
        *,
        hello: Callable[[], Hello],
        held: Callable[[], list[Held]],
        culprit: Callable[[], str | None],
        dial: SyncDialler | None,
        heartbeat: Callable[[], float],
        clock: Clock,
        exits: bool,
        blocked_after: float = BLOCKED_AFTER,
        give_up_after: float = GIVE_UP_AFTER,
    ) -> None:
        self._hello = hello
        self._held = held
        self._culprit = culprit
        self._dial = dial
        self._heartbeat = heartbeat
        self._clock = clock
        self._exits = exits
        self._blocked_after = blocked_after
        self._give_up_after = give_up_after
        self._poll = min(POLL, blocked_after / 4)
        self._turns = 0
        self._stopped = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.blocked: str | None = None
        """What blocks the loop now, for people."""

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._turn()
        threading.Thread(target=self._watch, name="easyjobs-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Cease to watch."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        """On the loop: it turns."""
        self._turns += 1
        self._timer = self._loop.call_later(self._poll, self._turn)

    # -- in the thread

    def _watch(self) -> None:
        while not self._stopped.wait(self._poll):
            if self._is_stuck(self._blocked_after):
                self._bark()

    def _is_stuck(self, seconds: float) -> bool:
        """Whether the loop makes no turn for so long.

        Polls are counted, not seconds: when the whole process was stopped, this thread slept as well.
        """
        turns = self._turns
        for _ in range(max(1, round(seconds / self._poll))):
            if self._stopped.wait(self._poll) or self._turns != turns:
                return False
        return True

    def _bark(self) -> None:
        """Say that the loop is blocked, again and again, until it turns."""
        turns = self._turns
        began = self._clock.monotonic()
        self.blocked = self._culprit() or "unknown code"
        log.warning("the event loop is blocked by %s, which is at\n%s", self.blocked, self._where())
        link: SyncLink | None = None
        silent = False
        while self._turns == turns and not self._stopped.is_set():
            if self._clock.monotonic() - began > self._give_up_after:
                if not silent:
                    silent = True
                    self._give_up(link)
                    link = None
            elif self._dial is not None:
                link = self._speak(link, self._dial)
            self._pause(turns)
        log.warning("the event loop is free again after %.1f s", self._clock.monotonic() - began)
        self.blocked = None
        _hang_up(link)

    def _speak(self, link: SyncLink | None, dial: SyncDialler) -> SyncLink | None:
        """One heartbeat; the link to use for the next one."""
        heartbeat = self._heartbeat()
        try:
            if link is None:
                link = dial(heartbeat)
                link.send(encode([self._hello()]))
                decode_from_manager(link.receive(heartbeat) or b"")
            while link.receive(0) is not None:
                pass  # pings, which need no answer
            link.send(encode([Heartbeat(self._held(), self.blocked)]))
        except (LinkClosed, ConnectionLost, Unauthorized, ProtocolError, OSError) as error:
            log.warning("the watchdog could not speak for the worker: %s", error)
            _hang_up(link)
            return None
        return link

    def _pause(self, turns: int) -> None:
        """Wait for a heartbeat's time, or until the loop turns."""
        for _ in range(max(1, round(self._heartbeat() / self._poll))):
            if self._turns != turns or self._stopped.wait(self._poll):
                return

    def _give_up(self, link: SyncLink | None) -> None:
        log.critical(
            "the event loop has been blocked by %s for %g s; the manager will give its jobs to others%s",
            self.blocked,
            self._give_up_after,
            ", and this process ends" if self._exits else "",
        )
        _hang_up(link)
        if self._exits:
            logging.shutdown()
            os._exit(EXIT_CODE)

    def _where(self) -> str:
        """The innermost lines of what the loop's thread is doing."""
        frame = sys._current_frames().get(self._watched)
        return "".join(traceback.format_stack(frame)[-5:]) if frame is not None else "(it cannot be seen)"


def _hang_up(link: SyncLink | None) -> None:
    if link is not None:
        with contextlib.suppress(OSError):
            link.close()
