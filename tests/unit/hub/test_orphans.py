"""Workers that live in another manager's process, which is not seen any more: patience, and what shows life."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from easyjobs.core.changes import LoseSession
from easyjobs.core.job import Job, Session
from easyjobs.hub.entries import Chore, Word
from easyjobs.hub.roster import Elsewhere, Roster
from easyjobs.hub.services.orphans import Orphans
from easyjobs.hub.settings import HubSettings


class Others:
    """A store, and a committer, of which only what is asked here is there."""

    single_manager = False

    def __init__(self) -> None:
        self.absent: set[str] = set()
        self.rows = {
            id: Session(id, id, id, "h", 1, "live", 0.0, 30.0, embedded=hub) for id, hub in (("s1", "a"), ("s2", "b"))
        }
        self.lost: list[LoseSession] = []
        self.words: list[Word] = []

    async def gone(self, hubs: Collection[str]) -> set[str]:
        return set()

    async def away(self, hubs: Collection[str]) -> set[str]:
        return self.absent & set(hubs)

    async def sessions(self) -> list[Session]:
        return list(self.rows.values())

    async def running(self) -> list[Job]:
        return [Job("j1", "q", "t", state="running", attempt=1, token="x", session="s1", worker="s1")]

    async def chore(self, chore: Chore) -> None:
        (lose,) = chore.writes
        assert isinstance(lose, LoseSession)
        assert lose.expires_by == self.rows.pop(lose.id).expires_at
        self.lost.append(lose)

    def add(self, word: Word) -> None:
        self.words.append(word)


class Watch:
    """Looks every second."""

    def __init__(self) -> None:
        self.others = others = Others()
        self.roster = Roster()
        self.roster.elsewhere = {id: Elsewhere(row, frozenset()) for id, row in others.rows.items()}
        made: Any = Orphans
        self.orphans: Orphans = made(others, self.roster, others, HubSettings(), lambda: False)
        self.now = 100.0

    async def for_(self, seconds: int) -> list[str]:
        """Whom it has lost by then."""
        for _ in range(seconds):
            await self.orphans.run_once(self.now)
            self.now += 1
        return [lose.id for lose in self.others.lost]


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def test_who_stays_away_for_the_grace_is_lost_with_what_ran_there(watch: Watch) -> None:
    await watch.for_(1)
    watch.others.absent = {"a"}
    assert await watch.for_(4) == []
    assert await watch.for_(1) == ["s1"]
    assert [word.id for word in watch.others.words] == ["j1"]
    assert set(watch.roster.elsewhere) == {"s2"}
    assert await watch.for_(10) == ["s1"]


async def test_who_is_away_when_somebody_comes_has_the_grace_from_then(watch: Watch) -> None:
    watch.others.absent = {"a"}
    assert await watch.for_(5) == []
    assert await watch.for_(1) == ["s1"]


async def test_a_lease_that_is_moved_meanwhile_shows_life(watch: Watch) -> None:
    watch.others.absent = {"a"}
    await watch.for_(4)
    watch.others.rows["s1"] = msgspec.structs.replace(watch.others.rows["s1"], expires_at=35.0)
    assert await watch.for_(5) == []
    assert await watch.for_(2) == ["s1"]


async def test_who_comes_back_was_never_away(watch: Watch) -> None:
    for _ in range(3):
        watch.others.absent = {"a", "b"}
        await watch.for_(4)
        watch.others.absent = set()
        assert await watch.for_(1) == []


async def test_where_the_store_has_failed_or_we_were_stopped_all_have_the_grace_again(watch: Watch) -> None:
    watch.others.absent = {"a"}
    await watch.for_(4)
    watch.orphans.doubt()
    assert await watch.for_(4) == []
    watch.now += 60
    assert await watch.for_(5) == []
    assert await watch.for_(1) == ["s1"]
