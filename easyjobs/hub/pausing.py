"""Pausing and resuming of queues, tasks, single workers and all workers. All of it may be asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from easyjobs.core.changes import DropPause, PutPause
from easyjobs.errors import NotFound
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.dispatcher import ALL_WORKERS, Dispatcher
from easyjobs.hub.entries import Chore
from easyjobs.hub.roster import Live, Roster
from easyjobs.protocol.messages import PauseWork, ResumeWork
from easyjobs.stores.base import Pause, Store

PauseKind = Literal["queue", "task", "worker", "workers"]

ALL: Final = ALL_WORKERS[1]
"""The one name of the kind `workers`."""


class Pausing:
    """Stops giving out, and goes on. What runs is never touched."""

    def __init__(
        self, store: Store, committer: Committer, dispatcher: Dispatcher, roster: Roster, catalog: Catalog
    ) -> None:
        self._store = store
        self._committer = committer
        self._dispatcher = dispatcher
        self._roster = roster
        self._catalog = catalog
        self._turn = asyncio.Lock()  # the last word counts, and not the last commit
        self.learn: Callable[[], Awaitable[None]] | None = None
        """Where there are other managers: takes in the tasks that were registered there."""

    async def pause(self, kind: PauseKind, name: str, by: str) -> None:
        """Give out no more jobs of a queue, of a task ("queue:name"), to a worker (its id), or to any worker, also of
        those that come later (kind "workers", name "all"). Durable when it returns; the first `by` stands. Raises
        NotFound.
        """
        async with self._turn:
            await self._check(kind, name)
            await self._pause(kind, name, by)

    async def resume(self, kind: PauseKind, name: str) -> None:
        """Undo that very `pause`: a worker with one of its own stays paused when all are resumed. Raises NotFound."""
        async with self._turn:
            if (kind, name) not in self._dispatcher.pauses:
                await self._check(kind, name)
            await self._resume(kind, name)

    async def toggle(self, live: Live, pause: bool) -> None:
        """A worker pauses or resumes itself."""
        async with self._turn:
            if pause:
                await self._pause("worker", live.row.worker_id, f"the worker {live.row.name}")
            else:
                await self._resume("worker", live.row.worker_id)

    async def follow(self) -> None:
        """Take in what was paused or resumed at other managers, and tell the workers of this one."""
        async with self._turn:
            held = {live.row.id: self._dispatcher.pause_of(live.row.worker_id) for live in self._roster.holders()}
            stored = await self._store.pauses()
            rows: dict[tuple[str, str], Pause] = {(p.kind, p.name): p for p in stored if p.kind != "schedule"}
            if rows == self._dispatcher.pauses:
                return
            self._dispatcher.pauses.clear()
            self._dispatcher.pauses.update(rows)
            for live in self._roster.holders():
                now = self._dispatcher.pause_of(live.row.worker_id)
                if (held.get(live.row.id) is None) != (now is None):
                    _tell(live, ResumeWork() if now is None else PauseWork())
            self._committer.poke()

    async def _pause(self, kind: PauseKind, name: str, by: str) -> None:
        known = (kind, name) in self._dispatcher.pauses
        if known and self._store.single_manager:
            return  # where there are other managers, one of them may have resumed it a moment ago
        pause = Pause(kind, name, by, self._store.now())
        await self._committer.chore(Chore([PutPause(kind, name, by, pause.at)]))
        if known:
            return
        told = self._working(kind, name)
        self._dispatcher.pauses[kind, name] = pause
        for live in told:
            _tell(live, PauseWork())

    async def _resume(self, kind: PauseKind, name: str) -> None:
        known = (kind, name) in self._dispatcher.pauses
        if not known and self._store.single_manager:
            return
        await self._committer.chore(Chore([DropPause(kind, name)]))
        if not known:
            return
        del self._dispatcher.pauses[kind, name]
        for live in self._working(kind, name):
            _tell(live, ResumeWork())
        self._committer.poke()

    def _working(self, kind: PauseKind, name: str) -> list[Live]:
        """The workers whom such a pause concerns, as far as no other holds them."""
        if kind == "workers":
            concerned = list(self._roster.holders())
        else:
            one = self._roster.of_worker(name) if kind == "worker" else None
            concerned = [] if one is None else [one]
        return [live for live in concerned if self._dispatcher.pause_of(live.row.worker_id) is None]

    async def _check(self, kind: PauseKind, name: str) -> None:
        queue, _, task = name.partition(":")
        if kind == "queue":
            if not self._catalog.has_queue(name) and self.learn is not None:
                await self.learn()
            if not self._catalog.has_queue(name):
                raise NotFound(f"No queue {name[:128]!r}.")
        elif kind == "task":
            if self._catalog.get(queue, task) is None and self.learn is not None:
                await self.learn()
            self._catalog.find(queue, task)
        elif kind == "workers":
            if name != ALL:
                raise NotFound(f"Of workers, only {ALL!r} can be paused together, not {name[:128]!r}.")
        elif self._roster.of_worker(name) is None:
            sessions = await self._store.sessions(lost_since=0.0)
            if all(session.worker_id != name for session in sessions):
                raise NotFound(f"No worker has the id {name[:128]!r}; /api/workers and `easyjobs workers` show them.")


def _tell(live: Live, message: PauseWork | ResumeWork) -> None:
    if live.voice is not None:
        live.voice.send(message)
