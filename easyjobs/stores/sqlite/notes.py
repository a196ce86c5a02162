"""What hubs on one file note for each other: a row a transaction, in that very one, so that none is lost or early."""

from __future__ import annotations

from collections import Counter
from sqlite3 import Connection
from typing import Final, get_args

import msgspec

from easyjobs.stores.base import Hint, Kind
from easyjobs.stores.hints import both
from easyjobs.stores.sqlite.tally import Key

ALL: Final = Hint(kinds=sorted(get_args(Kind)), more=True)
"""Anything may have happened."""

MOST: Final = 500
"""Jobs that one note names; of more it says only that there are more."""

KEPT: Final = 1_000
"""Notes that are kept for those who look late."""

STEP: Final = 100
"""Notes after which the oldest are removed."""


class Note(Hint, omit_defaults=True):
    """A hint, and how many jobs came to each queue, task and state, or left it. `unsure`: some may not be counted."""

    moves: list[tuple[str, str, str, int]] = msgspec.field(default_factory=list)
    unsure: bool = False


_decode = msgspec.json.Decoder(Note).decode


class Notes:
    """Those that one hub writes and reads, in order. Synchronous; in the transactions of its connection."""

    def __init__(self) -> None:
        self.me = ""
        self._last: int | None = None
        self._written: int | None = None
        self._sure = False
        self._heard: Hint | None = None

    def begin(self, connection: Connection, me: str) -> None:
        """Take part, from what is committed now."""
        self.me = me
        (self._last,) = connection.execute("SELECT coalesce(max(n), 0) FROM notes").fetchone()
        self._written = self._heard = None
        self._sure = False

    def write(self, connection: Connection, hint: Hint | None, moves: Counter[Key]) -> None:
        """Note what the transaction has for others; after `follow`. Then `written` or `forgotten`."""
        note = Note() if hint is None else _shortened(hint)
        note.moves = [(*key, change) for key, change in moves.items() if change]
        if not self._sure:
            note.unsure, note.kinds, note.more = True, ALL.kinds, True  # what was before was not noted
        said = msgspec.json.encode(note).decode()
        number = connection.execute("INSERT INTO notes (by, note) VALUES (?, ?)", (self.me, said)).lastrowid
        self._written = number
        if number is not None and number % STEP == 0:
            connection.execute("DELETE FROM notes WHERE n <= ?", (number - KEPT,))

    def written(self) -> None:
        """The transaction is committed."""
        if self._written is not None:
            self._last, self._written, self._sure = self._written, None, True

    def forgotten(self) -> None:
        """The transaction is not."""
        self._written = None

    def follow(self, connection: Connection) -> Counter[Key] | None:
        """Read what others noted, when they wrote; what moved, None where that is not all known."""
        rows = connection.execute("SELECT n, note FROM notes WHERE n > ? ORDER BY n", (self._last,)).fetchall()
        moves: Counter[Key] | None = Counter()
        if not rows or rows[0][0] != (self._last or 0) + 1:
            moves = None  # somebody writes without a note, or we slept too long
            self._hear(ALL)
        for number, text in rows:
            self._last = number
            try:
                note = _decode(text)
            except msgspec.DecodeError:
                note = Note(kinds=ALL.kinds, more=True, unsure=True)  # whoever wrote it wanted to say something
            if note.unsure:
                moves = None
            if moves is not None:
                for queue, task, state, change in note.moves:
                    moves[queue, task, state] += change
            if note.lanes or note.ended or note.cancels or note.kinds or note.more:
                self._hear(note)
        return moves

    def heard(self) -> Hint | None:
        """What `follow` came upon since it was asked last."""
        hint, self._heard = self._heard, None
        return hint

    def _hear(self, hint: Hint) -> None:
        self._heard = both(self._heard or Hint(), hint)
        if len(self._heard.ended) > MOST:  # nobody may ask for long
            self._heard.ended, self._heard.more = [], True


def _shortened(hint: Hint) -> Note:
    more = hint.more or len(hint.ended) > MOST
    return Note(hint.lanes, [] if len(hint.ended) > MOST else hint.ended, hint.cancels, hint.kinds, more)
