"""The lines of an attempt: told until they are stored, the head and the tail of a flood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from easyjobs.protocol.logs import COST, AttemptLog, shortened, speakable
from easyjobs.protocol.messages import Limits, Log

LIMITS = Limits(logs=2000, log_line=100)


class Shelf:
    """A manager's store for one attempt: what it keeps by number, as `core.changes.AppendLogs` says."""

    def __init__(self) -> None:
        self.lines: dict[int, str] = {}
        self.most = 0

    def take(self, logs: list[Log]) -> int:
        """Keep these; the number of the last line."""
        number = 0
        for log in logs:
            highest = max(self.lines, default=0)
            for number, (_, _, text) in enumerate(log.lines, log.first):
                if number > highest:
                    self.lines[number] = text
            if log.drop is not None:
                low, high = log.drop
                assert high < log.first
                for n in range(low, high + 1):
                    self.lines.pop(n, None)
        self.most = max(self.most, self.size)
        return number

    @property
    def size(self) -> int:
        return sum(len(text.encode()) + COST for text in self.lines.values())


def say(book: AttemptLog, *texts: str) -> None:
    for text in texts:
        book.add(1.0, "info", text, LIMITS)


def test_a_line_is_sent_as_it_comes_and_forgotten_when_it_is_stored() -> None:
    book = AttemptLog("j", 2, "t")
    book.add(1.5, "info", "hello", LIMITS)
    (log,) = book.take(LIMITS)
    assert (log.job, log.attempt, log.token, log.lines) == ("j", 2, "t", [(1.5, "info", "hello")])
    assert (log.first, log.drop, book.attempt) == (1, None, 2)
    assert book.take(LIMITS) == []
    assert book.size == len("hello") + COST
    book.stored(1)
    book.stored(1)
    assert book.size == 0
    assert not book.again()


def test_what_was_not_stored_is_sent_again_after_a_reconnect_and_under_its_number() -> None:
    book = AttemptLog("j", 1, "t")
    say(book, "a", "b")
    book.take(LIMITS)
    book.stored(1)
    say(book, "c")
    assert book.again()
    (log,) = book.take(LIMITS)
    assert (log.first, [text for _, _, text in log.lines]) == (2, ["b", "c"])


def test_within_the_limit_every_line_is_sent_at_once() -> None:
    book, shelf = AttemptLog("j", 1, "t"), Shelf()
    lines = [f"line {n}" for n in range(48)]
    for line in lines:
        say(book, line)
        book.stored(shelf.take(book.take(LIMITS)))
    assert list(shelf.lines.values()) == lines
    assert not book.over


def test_of_a_flood_the_head_stays_and_the_newest_lines_and_the_numbers_tell_how_many_are_missing() -> None:
    book, shelf = AttemptLog("j", 1, "t"), Shelf()
    lines = [f"line {n}" for n in range(1000)]
    for line in lines:
        say(book, line)
        book.stored(shelf.take(book.take(LIMITS)))
    assert book.over
    book.end()
    assert not book.over
    shelf.take(book.take(LIMITS))
    kept = list(shelf.lines)
    head = next(n for n in range(1, 1000) if n + 1 not in shelf.lines)
    assert kept == [*range(1, head + 1), *range(1000 - (len(kept) - head) + 1, 1001)]
    assert LIMITS.logs * 0.9 < shelf.size <= LIMITS.logs
    assert shelf.most <= LIMITS.logs


def test_a_flood_is_sent_in_measured_parts_while_it_lasts() -> None:
    book, shelf = AttemptLog("j", 1, "t"), Shelf()
    for n in range(1000):
        say(book, f"line {n}")
        book.stored(shelf.take(book.take(LIMITS)))
    say(book, "newer")
    assert book.take(LIMITS) == []
    assert book.refill(LIMITS)
    part = book.take(LIMITS)
    assert 0 < sum(len(text) + COST for log in part for _, _, text in log.lines) <= LIMITS.logs // 8 + COST + 10
    assert book.refill(LIMITS), "there is more"
    assert book.take(LIMITS) == [], "but what was sent is not stored yet"
    book.stored(shelf.take(part))
    while book.refill(LIMITS):
        book.stored(shelf.take(book.take(LIMITS)))
    assert list(shelf.lines.values())[-1] == "newer"
    say(book, "and a slow one goes at once")
    book.stored(shelf.take(book.take(LIMITS)))
    assert list(shelf.lines.values())[-1] == "and a slow one goes at once"
    assert shelf.most <= LIMITS.logs


def test_a_flood_without_a_connection_stays_within_the_limit() -> None:
    book = AttemptLog("j", 1, "t")
    say(book, *(f"line {n}" for n in range(5000)))
    assert book.size <= LIMITS.logs
    book.again()
    head = book.take(LIMITS)
    assert [log.first for log in head] == [1]
    assert len(head[0].lines) > 20, "the head waits for nothing"


def test_what_is_to_be_dropped_is_told_with_the_lines_that_take_its_place() -> None:
    book = AttemptLog("j", 1, "t")
    for n in range(200):
        say(book, f"line {n}")
        book.take(LIMITS)
    book.again()
    book.end()
    head, tail = book.take(LIMITS)
    assert (head.first, head.drop) == (1, None)
    assert tail.drop is not None
    assert tail.drop[0] == len(head.lines) + 1
    assert tail.drop[1] < tail.first


@given(
    st.lists(st.sampled_from(["say", "say", "say", "long", "take", "lose", "stored", "again", "beat"]), max_size=300)
)
def test_whatever_happens_on_the_way_nothing_within_the_limits_is_lost_or_kept_twice(story: list[str]) -> None:
    limits = Limits(logs=1000, log_line=100)
    book, shelf = AttemptLog("j", 1, "t"), Shelf()
    said: list[str] = []
    known = 0
    for happens in story:
        if happens in ("say", "long"):
            said.append(f"{len(said)} " + "x" * (60 if happens == "long" else 0))
            book.add(1.0, "info", said[-1], limits)
        elif happens == "take":
            known = max(known, shelf.take(book.take(limits)))
        elif happens == "lose":
            book.take(limits)
            book.again()
        elif happens == "stored":
            book.stored(known)
        elif happens == "again":
            book.again()
        else:
            book.refill(limits)
    book.again()
    book.end()
    shelf.take(book.take(limits))
    total = sum(len(text) + COST for text in said)
    kept = [shelf.lines[n] for n in sorted(shelf.lines)]
    assert all(shelf.lines[n] == said[n - 1] for n in shelf.lines)
    if total <= limits.logs - limits.log_line - COST:
        assert kept == said
    assert kept[-1:] == said[-1:]
    assert shelf.most <= limits.logs


def test_the_newest_line_is_kept_however_low_the_limit() -> None:
    tight = Limits(logs=10, log_line=100)
    book, shelf = AttemptLog("j", 1, "t"), Shelf()
    for text in ("old", "new"):
        book.add(1.0, "info", text, tight)
    book.end()
    shelf.take(book.take(tight))
    assert list(shelf.lines.values()) == ["new"]


def test_long_logs_are_cut_into_messages_that_fit_a_frame() -> None:
    limits = Limits(frame=8000)
    book = AttemptLog("j", 1, "t")
    for n in range(20):
        book.add(1.0, "info", f"{n}" * 300, limits)
    logs = book.take(limits)
    assert len(logs) == 20
    assert all(len(log.lines) == 1 for log in logs)


def test_a_line_too_long_keeps_its_head_and_tail() -> None:
    cut = shortened("a" * 500 + "b" * 500, 100)
    assert len(cut.encode()) <= 100
    assert cut.startswith("aaa")
    assert cut.endswith("bbb")


def test_a_short_line_of_long_characters_stays() -> None:
    assert shortened("é" * 30, 100) == "é" * 30
    assert shortened("short", 100) == "short"


@given(st.text(st.characters(), max_size=200), st.integers(0, 300))
def test_whatever_a_task_writes_can_be_sent(text: str, limit: int) -> None:
    said = shortened(speakable(text), limit)
    assert len(said.encode()) <= max(limit, 5)
