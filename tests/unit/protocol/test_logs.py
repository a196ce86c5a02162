"""The lines of an attempt: bounded, the head at once and the tail at the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from easyjobs.protocol.logs import AttemptLog, shortened, speakable
from easyjobs.protocol.messages import Limits

LIMITS = Limits(logs=2000, log_line=100)


def texts(book: AttemptLog, limits: Limits = LIMITS) -> list[str]:
    return [text for log in book.take(limits) for _, _, text in log.lines]


def test_a_line_is_sent_as_it_comes() -> None:
    book = AttemptLog("j", 2, "t")
    assert book.add(1.5, "info", "hello", LIMITS) == "fresh"
    (log,) = book.take(LIMITS)
    assert (log.job, log.attempt, log.token, log.lines) == ("j", 2, "t", [(1.5, "info", "hello")])
    assert book.take(LIMITS) == []


def test_a_flood_keeps_its_head_and_its_tail_and_says_what_is_missing() -> None:
    book = AttemptLog("j", 1, "t")
    lines = [f"line {n}" for n in range(1000)]
    kept = [line for line in lines if book.add(1.0, "info", line, LIMITS) == "fresh"]
    head = texts(book)
    assert head == kept == lines[: len(head)]
    book.end()
    note, *tail = texts(book)
    assert tail == lines[-len(tail) :]
    assert note == f"… {1000 - len(head) - len(tail)} lines were left out here …"
    assert sum(len(line) for line in head + tail) <= LIMITS.logs


def test_a_log_that_just_fits_its_two_halves_is_whole() -> None:
    book = AttemptLog("j", 1, "t")
    lines = [f"line {n}" for n in range(40)]
    for line in lines:
        book.add(1.0, "info", line, LIMITS)
    book.end()
    assert texts(book) == lines


def test_the_newest_line_is_kept_however_low_the_limit() -> None:
    tight = Limits(logs=10, log_line=100)
    book = AttemptLog("j", 1, "t")
    book.add(1.0, "info", "old", tight)
    book.add(1.0, "info", "new", tight)
    book.end()
    assert texts(book)[-1] == "new"


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
