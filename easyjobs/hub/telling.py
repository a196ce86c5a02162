"""What running attempts tell: progress and lines, stored and then passed on to whoever listens."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from easyjobs.core.changes import AppendLogs, NoteProgress, Stale
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.committer import Committer
from easyjobs.hub.connections import Connection
from easyjobs.hub.entries import Chore
from easyjobs.hub.roster import Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.hub.shelf import Shelf
from easyjobs.protocol.messages import Held, Log, Logged, Progress

HIGHEST: Final = 2**40
"""A line's number; beyond it, it is taken for none."""

MOST_LATE: Final = 1_000
"""Attempts that a child process has ended and whose worker may have lines left."""

WALL: Final = 2
"""A speaker keeps its own measure; beyond so many times the limit, all that an attempt logs is dropped."""


class Telling:
    """Acts on `progress` and `log`."""

    def __init__(
        self,
        roster: Roster,
        committer: Committer,
        announcer: Announcer,
        settings: HubSettings,
        counters: Counter[str],
    ) -> None:
        self._roster = roster
        self._committer = committer
        self._announcer = announcer
        self._limits = settings.limits
        self._counters = counters
        self._late: dict[str, tuple[Held, Shelf]] = {}

    def ended_by_child(self, attempt: Held) -> None:
        """A child process has said how its attempt ended; what it printed comes over its worker, perhaps later."""
        self._late[attempt.job] = (attempt, self._roster.logged.get(attempt.job) or Shelf())
        if len(self._late) > MOST_LATE:
            del self._late[next(iter(self._late))]

    def progress(self, connection: Connection, message: Progress) -> None:
        """Show how far an attempt is."""
        if not self._holds(message):
            return
        value = None if message.value is None else min(1.0, max(0.0, message.value))
        text = msgspec.json.encode({"value": value, "note": message.note[:1000]}).decode()
        id = message.job
        self._committer.add(Chore([NoteProgress(id, message.attempt, text)], lambda stale: self._announcer.told(id)))

    def log(self, connection: Connection, message: Log) -> None:
        """Keep lines, and say so when they are stored."""
        shelf = self._shelf(connection, message) if message.lines else None
        if shelf is None:
            return
        id, attempt = message.job, message.attempt
        first = message.first if 0 < message.first <= HIGHEST else 0
        voice = "child" if connection.role == "child" else ""
        drop = message.drop
        if drop is not None:
            if not 0 < drop[0] <= drop[1] < first:
                drop = None
            else:
                shelf.drop(voice, drop[1])
        longest = self._limits.log_line
        lines = [(attempt, at, level[:16], text[:longest]) for at, level, text in message.lines]
        last = first + len(lines) - 1
        kept = shelf.put(voice, first, lines, WALL * self._limits.logs)

        def stored(stale: Stale | None) -> None:
            if first:
                connection.send(Logged([(id, attempt, last)]))
            self._announcer.told(id)

        # also when nothing of it is kept: what came before it must be stored first
        self._committer.add(Chore([AppendLogs(id, kept, voice, first, drop)], stored))

    def _shelf(self, connection: Connection, message: Log) -> Shelf | None:
        """Where the lines of an attempt are counted; None when they are of no account.

        When an attempt has ended by its child's own word, the worker may still bring what that printed; the child has
        nothing more to say.
        """
        late = self._late.get(message.job)
        if (
            late is not None
            and connection.role != "child"
            and late[0] == Held(message.job, message.attempt, message.token)
        ):
            return late[1]
        if not self._holds(message):
            return None
        shelf = self._roster.logged.get(message.job)
        if shelf is None:
            shelf = self._roster.logged[message.job] = Shelf()
        return shelf

    def _holds(self, message: Progress | Log) -> bool:
        """Whether the speaker's attempt is the one that runs; what a stale one tells is counted and dropped."""
        job = self._roster.running.get(message.job)
        if job is not None and job.attempt == message.attempt and job.token == message.token:
            return True
        self._counters["stale_words"] += 1
        return False
