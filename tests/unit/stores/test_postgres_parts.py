"""The parts of the PostgreSQL store that need no server: its clock, its notifications, its words for failures."""

import asyncpg
import msgspec
import pytest

from easyjobs.core.job import Lane
from easyjobs.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from easyjobs.stores.base import Hint, JobQuery
from easyjobs.stores.postgres.address import address_of
from easyjobs.stores.postgres.clock import ServerClock
from easyjobs.stores.postgres.failures import translated
from easyjobs.stores.postgres.hints import MOST, note_of
from easyjobs.stores.postgres.reads import page_statement
from easyjobs.testing.clock import HandClock

# -- the clock


def test_the_servers_time_counts_whatever_ours_is() -> None:
    hand = HandClock(1_000_000.0)
    clock = ServerClock(hand)
    clock.told(5_000_000.0, hand.monotonic(), hand.monotonic() + 0.5)
    assert clock.now() == 5_000_000.0 - 0.25
    hand.advance(2.0)
    hand.set_wall(0.0)
    assert clock.now() == 5_000_001.75


def test_a_server_a_little_behind_is_waited_for_and_nothing_goes_back() -> None:
    hand = HandClock()
    clock = ServerClock(hand)
    clock.told(100.0, hand.monotonic(), hand.monotonic())
    assert clock.now() == 100.0
    hand.advance(1.0)
    clock.told(100.8, hand.monotonic(), hand.monotonic())
    assert clock.now() == 100.8
    clock.told(100.5, hand.monotonic(), hand.monotonic())
    assert clock.now() == 100.8
    hand.advance(0.2)
    assert clock.now() == 100.8
    hand.advance(0.2)
    assert clock.now() == pytest.approx(100.9)


def test_a_server_that_was_set_back_is_not_followed_and_one_set_forward_is() -> None:
    hand = HandClock()
    clock = ServerClock(hand)
    clock.told(10_000.0, hand.monotonic(), hand.monotonic())
    clock.told(6_400.0, hand.monotonic(), hand.monotonic())
    hand.advance(5.0)
    assert clock.now() == 10_005.0
    clock.told(20_000.0, hand.monotonic(), hand.monotonic())
    assert clock.now() == 20_000.0


# -- hints


def read(note: bytes) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(note)
    return found


def test_a_notification_says_what_there_is_to_say_and_no_more() -> None:
    hint = Hint([Lane("q", "t", "s")], ["j1"], ["j2"], ["tasks"])
    assert read(note_of(hint, "me")) == {
        "lanes": [["q", "t", "s"]],
        "ended": ["j1"],
        "cancels": ["j2"],
        "kinds": ["tasks"],
        "by": "me",
    }
    assert read(note_of(Hint(more=True), "me")) == {"more": True, "by": "me"}


def test_what_does_not_fit_is_told_as_more() -> None:
    ids = [f"{n:036}" for n in range(400)]
    lanes = [Lane("q" * 100, f"t{n}", "") for n in range(200)]
    ended = note_of(Hint([Lane("q", "t", "")], ids, ["j"]), "me")
    assert read(ended) == {"lanes": [["q", "t", ""]], "cancels": ["j"], "more": True, "by": "me"}
    everything = note_of(Hint(lanes, ids, ids, ["pauses"]), "me")
    assert read(everything) == {"kinds": ["pauses"], "more": True, "by": "me"}
    assert max(len(ended), len(everything)) <= MOST


# -- failures


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (asyncpg.DiskFullError("no space"), StoreFull, "No space is left"),
        (asyncpg.DataCorruptedError("page 7"), StoreCorrupt, "page 7"),
        (asyncpg.UndefinedTableError("jobs"), StoreCorrupt, "not as it should be"),
        (asyncpg.InvalidPasswordError("wrong"), StoreUnavailable, "does not let us in"),
        (asyncpg.InvalidCatalogNameError("nowhere"), StoreUnavailable, "does not let us in"),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), StoreUnavailable, "standby"),
        (asyncpg.AdminShutdownError("going"), StoreUnavailable, "failed (going)"),
        (ConnectionResetError(), StoreUnavailable, "ConnectionResetError"),
        (TimeoutError(), StoreUnavailable, "TimeoutError"),
    ],
)
def test_what_the_driver_says_in_the_words_of_the_contract(
    error: BaseException, kind: type[StoreError], words: str
) -> None:
    shown = address_of("postgresql://ann:secret@db/jobs").shown
    found = translated(error, shown)
    assert type(found) is kind
    assert words in str(found)
    assert "secret" not in str(found)


def test_an_outcome_that_nobody_knows_is_said_to_be_so() -> None:
    assert "unknown" in str(translated(ConnectionResetError(), "db", unknown=True))
    assert "unknown" not in str(translated(ConnectionResetError(), "db"))


# -- pages


def test_a_page_of_a_queue_goes_by_the_indexes_of_live_and_of_ended_jobs() -> None:
    statement, *parameters = page_statement(JobQuery(queue="q", before=7, limit=2))
    assert statement.count("queue = $1 AND seq < $2") == 2
    assert "UNION ALL" in statement
    assert parameters == ["q", 7, 3]
    statement, *parameters = page_statement(JobQuery(text="x'"))
    assert "UNION" not in statement
    assert "x'" not in statement
    assert parameters == ["x'", 51]
