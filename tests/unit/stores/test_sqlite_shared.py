"""One SQLite file in several hands: what each learns of the others, and who may have it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from opening import add, commit, job

from easyjobs.core.changes import FlagCancel, Insert, PutPause, Unit, Update
from easyjobs.core.job import Lane
from easyjobs.errors import StoreLocked
from easyjobs.stores.base import Count, Hint, Retention
from easyjobs.stores.sqlite import SQLiteStore, files, notes
from easyjobs.stores.sqlite.presence import Presence


class Hand:
    """A store, and what it heard."""

    def __init__(self, path: Path, name: str, *, shared: bool = True) -> None:
        self.store = SQLiteStore(str(path), shared=shared)
        self.heard: list[Hint] = []
        self.store.listen(self.heard.append, name)

    async def hears(self, what: str, value: object) -> None:
        async with asyncio.timeout(10):
            while not any(value in getattr(hint, what) for hint in self.heard):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def hands(path: Path, *names: str) -> AsyncIterator[Sequence[Hand]]:
    """The first has no other beside it when it comes, and is a manager."""
    async with AsyncExitStack() as stack:
        made: list[Hand] = []
        for name in names:
            hand = Hand(path, name, shared=bool(made))
            await hand.store.open()
            stack.push_async_callback(hand.store.close)
            made.append(hand)
        yield made


async def accompanied(hand: Hand) -> None:
    async with asyncio.timeout(10):
        while hand.store.single_manager or not hand.heard:
            await asyncio.sleep(0.01)


async def test_a_manager_that_is_alone_notes_nothing_and_hears_of_the_first_who_comes(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager") as (manager,):
        await add(manager.store, "j1")
        assert manager.store.single_manager
        other = Hand(path, "other")
        await other.store.open()
        try:
            assert other.store.single_manager is False
            await accompanied(manager)
            assert manager.heard[0] == notes.ALL
        finally:
            await other.store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    database.close()


async def test_who_writes_is_noticed_with_the_first_transaction_after_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager", "other") as (manager, other):
        await add(other.store, "j1")
        await manager.store.running()
        assert manager.store.single_manager is False


async def test_each_kind_of_news_is_heard(tmp_path: Path) -> None:
    async with hands(tmp_path / "jobs.db", "manager", "other") as (manager, other):
        await accompanied(manager)
        new = job("j1")
        await commit(other.store, Insert(new))
        await manager.hears("lanes", Lane(new.queue, new.task, new.signature))
        await commit(other.store, PutPause("queue", "q", "me", 1.0))
        await manager.hears("kinds", "pauses")
        await commit(other.store, Update(new, {"state": "completed", "finished_at": 2.0}))
        await manager.hears("ended", "j1")
        await commit(manager.store, Insert(job("j2", run_at=other.store.now() - 1)))
        await other.hears("lanes", Lane(new.queue, new.task, new.signature))


async def test_nobody_hears_himself(tmp_path: Path) -> None:
    async with hands(tmp_path / "jobs.db", "manager", "other") as (manager, other):
        await accompanied(manager)
        await add(manager.store, "j1")
        await other.hears("lanes", job("j1").lane)
        assert [hint for hint in manager.heard if hint.lanes] == []


async def test_everybody_counts_what_everybody_writes_without_looking_at_the_jobs(tmp_path: Path) -> None:
    async with hands(tmp_path / "jobs.db", "manager", "other") as (manager, other):
        await accompanied(manager)
        for number in range(3):
            await add(manager.store, f"a{number}")
            await add(other.store, f"b{number}")
            for hand in (manager, other):
                assert await hand.store.counts() == [Count(*job("x").lane[:2], "queued", 2 * number + 2)]
        ended = job("gone")
        await commit(other.store, Insert(ended))
        await commit(other.store, Update(ended, {"state": "completed", "finished_at": 1.0}))
        assert await manager.store.totals() == {"queued": 6, "completed": 1}
        await other.store.prune(Retention(completed=0.0), 10)
        assert manager.store._writer.counted(), "it was told of all, and need not count anew"
        assert await manager.store.totals() == {"queued": 6}


async def test_who_slept_long_counts_anew_and_hears_that_anything_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "KEPT", 2)
    monkeypatch.setattr(notes, "STEP", 1)
    async with hands(tmp_path / "jobs.db", "manager", "other") as (manager, other):
        await accompanied(manager)
        async with manager.store._turn:  # it looks at nothing meanwhile
            for number in range(9):
                await add(other.store, f"j{number}")
        assert await manager.store.counts() == [Count(*job("x").lane[:2], "queued", 9)]
        await manager.hears("kinds", "tasks")


async def test_a_write_without_a_note_is_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager", "other") as (manager, _):
        await accompanied(manager)
        await add(manager.store, "j1")
        with sqlite3.connect(path) as database:
            database.execute("DELETE FROM jobs")
        database.close()
        assert await manager.store.counts() == []


async def test_a_note_that_cannot_be_read_may_mean_anything(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager", "other") as (manager, other):
        await accompanied(manager)
        await add(other.store, "j1")
        await manager.store.counts()
        manager.heard.clear()
        with sqlite3.connect(path) as database:
            database.execute("DELETE FROM jobs")
            database.execute("INSERT INTO notes (by, note) VALUES ('a newer one', '[]')")
        database.close()
        await manager.hears("kinds", "schedules")
        assert await manager.store.counts() == []


async def test_a_refused_unit_leaves_no_note_of_itself(tmp_path: Path) -> None:
    async with hands(tmp_path / "jobs.db", "manager", "other") as (manager, other):
        await accompanied(manager)
        await add(other.store, "j1")
        await other.store.commit([Unit([Insert(job("j1"))]), Unit([FlagCancel("nobody", 1, "me")])])
        assert await manager.store.counts() == [Count(*job("x").lane[:2], "queued", 1)]


async def test_who_died_is_gone_and_leads_no_more(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager", "other") as (manager, other):
        await accompanied(manager)
        assert await other.store.lead("other", 3600.0) == 1
        assert await manager.store.lead("manager", 15.0) is None
        assert await manager.store.gone({"manager", "other", "nobody"}) == {"nobody"}
        lock = other.store._presence._lock
        assert lock is not None
        lock.close()  # as the kernel does when a process ends
        assert await manager.store.gone({"other"}) == {"other"}
        async with asyncio.timeout(10):
            while await manager.store.lead("manager", 15.0) != 2:
                await asyncio.sleep(0.01)
        assert "other" not in manager.store._presence.names()


async def test_who_leaves_is_not_seen_any_more(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager", "other") as (manager, other):
        assert manager.store._presence.names() == ["other"]
        await other.store.close()
        assert manager.store._presence.names() == []


async def test_a_file_that_others_use_is_neither_removed_nor_had_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager", "other") as (manager, other):
        await manager.store.close()
        with pytest.raises(StoreLocked, match="other processes"):
            await SQLiteStore(str(path)).reset()
        copier = Presence(str(path))
        with pytest.raises(StoreLocked, match="stop them first"):
            copier.own()
        copier.leave()
        await other.store.close()
        await manager.store.open()
        manager.store.keep_others_out()
        with pytest.raises(StoreLocked, match="copied or removed"):
            await other.store.open()
        await manager.store.close()
        await other.store.open()


async def test_beside_others_of_an_older_version_nothing_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager") as (_,):
        known = files.migrations()
        monkeypatch.setattr(files, "migrations", lambda: [*known, "CREATE TABLE newer (n);"])
        with pytest.raises(StoreLocked, match="older version"):
            await SQLiteStore(str(path), shared=True).open()
    async with hands(path, "manager"):
        pass


async def test_of_very_many_ends_a_note_says_only_that_they_are_many(tmp_path: Path) -> None:
    async with hands(tmp_path / "jobs.db", "manager", "other") as (manager, other):
        await accompanied(manager)
        jobs = [job(f"j{number}") for number in range(notes.MOST + 1)]
        await commit(other.store, *[Insert(one) for one in jobs])
        manager.heard.clear()
        await commit(other.store, *[Update(one, {"state": "completed", "finished_at": 1.0}) for one in jobs])
        async with asyncio.timeout(10):
            while not any(hint.more for hint in manager.heard):
                await asyncio.sleep(0.01)
        assert all(hint.ended == [] for hint in manager.heard)


async def test_lanes_are_found_in_order_also_those_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with hands(path, "manager") as (manager,):
        lanes = [Lane(queue, task, sign) for queue in ("a", "b") for task in ("x", "y") for sign in ("", "1")]
        inserts = [Insert(job(f"{n}.{lane}", **lane._asdict())) for lane in reversed(lanes) for n in range(3)]
        await commit(manager.store, *inserts)
        assert await manager.store.lanes() == lanes
        with sqlite3.connect(path) as database:
            database.execute("UPDATE jobs SET queue = CAST(x'ff' AS TEXT) WHERE queue = 'b'")
        database.close()
        assert (
            await manager.store.lanes()
            == [lane._replace(queue=lane.queue.replace("b", r"\xff")) for lane in lanes[4:]] + lanes[:4]
        )


async def test_whoever_is_first_at_a_new_file_makes_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    files.open_writer(str(path), beside=True).close()
    files.open_writer(str(path)).close()
    async with hands(path, "manager", "other"):
        pass
