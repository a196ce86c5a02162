"""Hints between managers, by NOTIFY and LISTEN. They may come late, twice or never: whoever needs the truth looks.

The connection that listens also shows that we are there.

A notification is a JSON object with the fields of `base.Hint` (each may be missing) and `by`, who sends it: so an
application can send one with its own SQL, in its own transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec

from easyjobs.background import Nursery
from easyjobs.errors import StoreError
from easyjobs.stores.base import Hint, Kind
from easyjobs.stores.hints import both
from easyjobs.stores.postgres.address import Address
from easyjobs.stores.postgres.channel import Channel, Connection
from easyjobs.stores.postgres.failures import DENIED, UNWRITABLE
from easyjobs.stores.postgres.presence import Presence

log = logging.getLogger("easyjobs.stores")

MOST: Final = 7_900  # bytes; PostgreSQL takes 7,999
APART: Final = 0.003  # seconds between two that we send: what is said meanwhile goes into one
KINDS: Final[tuple[Kind, ...]] = ("pauses", "schedules", "sessions", "tasks")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # whoever was cut off is missed after seconds


class Note(Hint, omit_defaults=True):
    """What is sent."""

    by: str = ""


_decode = msgspec.json.Decoder(Note).decode


def note_of(hint: Hint, by: str) -> bytes:
    """The notification of a hint, with less in it where that would be too long."""
    for shortened in (
        hint,
        Hint(hint.lanes, [], hint.cancels, hint.kinds, True),
        Hint([], [], [], hint.kinds, True),
    ):
        said = shortened
        note = msgspec.json.encode(Note(said.lanes, said.ended, said.cancels, said.kinds, said.more, by))
        if len(note) <= MOST:
            break
    return note


class Hints:
    """Tells other managers, and hears them. `start` once `heard` is set, `close` at the end.

    :param me: who we are, so that nobody hears himself. `spare`: says of us what that connection cannot.
    """

    def __init__(self, address: Address, channel: Channel, me: str, presence: Presence, spare: Channel) -> None:
        self._listens = address.listen
        self._shows = not address.pooler  # us: through a pooler no lock outlives its transaction
        self._presence = presence
        self._spare = spare
        self._name = f"easyjobs.{address.schema}"
        self._channel = channel
        self._me = me
        self._nursery = Nursery("hints")
        self._pending: Hint | None = None
        self._wake = asyncio.Event()
        self._lost = asyncio.Event()
        self.heard: Callable[[Hint], None] | None = None

    def start(self) -> None:
        """Begin, in the background."""
        self._nursery.spawn(self._tell(), "tell")
        self._shows = self._shows and bool(self._presence.me)
        if self.heard is not None and (self._listens or self._shows):
            self._nursery.spawn(self._stay(), "stay")

    async def close(self) -> None:
        """End. May be called twice."""
        await self._nursery.close()
        if self._presence.noted:
            await self._say_of_us(self._presence.leave)
        await self._channel.close()
        self._pending = None

    def say(self, hint: Hint | None) -> None:
        """Tell others, soon."""
        if hint is not None:
            self._pending = hint if self._pending is None else both(self._pending, hint)
            self._wake.set()

    async def _tell(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            hint, self._pending = self._pending, None
            if hint is not None:
                try:
                    await self._channel.read(partial(self._notify, note_of(hint, self._me).decode()))
                except (StoreError, *UNWRITABLE) as error:
                    log.debug("a hint to other managers was lost: %s", error)
            await asyncio.sleep(APART)

    async def _notify(self, note: str, connection: Connection) -> None:
        await connection.execute("SELECT pg_notify($1, $2)", self._name, note)

    async def _stay(self) -> None:
        """Be there and listen for ever, and again when the connection was lost; what was said meanwhile is to be looked
        for.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                await self._channel.read(self._attach)
            except StoreError as error:
                log.warning("what other managers do is heard late: %s", error)
                if self._presence.noted and pause > FIRST_PAUSE:
                    await self._say_of_us(self._presence.withdraw)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if self._listens and self.heard is not None:
                self.heard(Hint(kinds=list(KINDS), more=True))
            await self._lost.wait()
            self._presence.lost()

    async def _attach(self, connection: Connection) -> None:
        self._lost.clear()
        connection.add_termination_listener(lambda _: self._lost.set())
        if self._listens:
            await connection.add_listener(self._name, self._on_note)
        if self._shows:
            try:
                await self._presence.enter(connection)
            except DENIED as error:  # whoever made the tables has granted what there was before
                self._shows = False
                log.warning("others will know that this process died by its lease only: %s", error)

    async def _say_of_us(self, what: Callable[[Connection], Awaitable[None]]) -> None:
        try:
            await self._spare.single(what)
        except (StoreError, *UNWRITABLE) as error:
            log.debug("nobody was told: %s", error)

    def _on_note(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        try:
            note = _decode(payload)
        except msgspec.DecodeError as error:
            log.warning("a hint cannot be read: %s", error)
            return
        if note.by != self._me and self.heard is not None:
            self.heard(Hint(note.lanes, note.ended, note.cancels, note.kinds, note.more))
