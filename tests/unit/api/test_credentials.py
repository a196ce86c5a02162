"""What the server signs is believed as it was signed, for as long as it was meant, and in no other form."""

from __future__ import annotations

import msgspec
import pytest
from hand_clock import HandClock

from easyjobs.api import credentials
from easyjobs.api.credentials import SESSION_LIFE, Cursors, Nonces, Sessions, same
from easyjobs.errors import BadRequest
from easyjobs.ids import Ids
from easyjobs.protocol.proof import challenge


class Filters(msgspec.Struct, frozen=True):
    queue: str | None = None


def changed(text: str) -> list[str]:
    """`text` with each of its characters changed in turn, shortened, lengthened, doubled."""
    one_off = [text[:n] + chr(ord(text[n]) ^ 1) + text[n + 1 :] for n in range(len(text))]
    return [*one_off, text[:-1], text[1:], text + "0", text + text, "", ".", "-", "é"]


def test_equal_is_equal() -> None:
    assert same(b"abc", b"abc")
    assert not same(b"abc", b"abd")
    assert not same(b"", b"abc")


def test_a_session_holds_for_its_time_and_outlives_a_restart() -> None:
    clock = HandClock()
    cookie = Sessions("secret", clock, Ids(1)).make()
    restarted = Sessions("secret", clock, Ids(2))
    assert restarted.valid(cookie)
    clock.now += SESSION_LIFE - 1
    assert restarted.valid(cookie)
    clock.now += 2
    assert not restarted.valid(cookie)


def test_a_session_dies_with_its_secret_and_with_any_change() -> None:
    clock = HandClock()
    cookie = Sessions("secret", clock, Ids(1)).make()
    assert not Sessions("another", clock, Ids(1)).valid(cookie)
    assert [wrong for wrong in changed(cookie) if Sessions("secret", clock, Ids(1)).valid(wrong)] == []


def test_two_sessions_are_never_alike() -> None:
    sessions = Sessions("secret", HandClock(), Ids(1))
    assert sessions.make() != sessions.make()


def test_a_nonce_is_fresh_once_and_for_a_while() -> None:
    clock = HandClock()
    nonces = Nonces(clock, Ids(1))
    first, second = nonces.make(60), nonces.make(60)
    assert first != second
    assert challenge(first)
    assert nonces.fresh(first)
    nonces.spend(first)
    assert not nonces.fresh(first)
    assert nonces.fresh(second)
    clock.now += 61
    assert not nonces.fresh(second)


def test_a_nonce_of_another_process_or_changed_is_not_fresh() -> None:
    clock = HandClock()
    nonce = Nonces(clock, Ids(1)).make(60)
    assert not Nonces(clock, Ids(2)).fresh(nonce)
    assert [wrong for wrong in changed(nonce) if Nonces(clock, Ids(1)).fresh(wrong)] == []


def test_managers_that_share_a_secret_know_each_others_nonces_each_once() -> None:
    one, other, stranger = (Nonces(HandClock(), Ids(n)) for n in (1, 2, 3))
    one.share("secret")
    other.share("secret")
    stranger.share("another secret")
    nonce = one.make(60)
    assert one.fresh(nonce)
    assert other.fresh(nonce)
    assert not stranger.fresh(nonce)
    other.spend(nonce)
    assert not other.fresh(nonce)
    assert [wrong for wrong in changed(nonce) if one.fresh(wrong)] == []


def test_spent_nonces_are_forgotten_when_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MOST_SPENT", 10)
    clock = HandClock()
    nonces = Nonces(clock, Ids(1))
    for _ in range(10):
        nonces.spend(nonces.make(60))
    clock.now += 61
    last = nonces.make(60)
    nonces.spend(last)
    assert list(nonces._spent) == [last]


def test_a_cursor_leads_where_it_was_made_for() -> None:
    cursors = Cursors("secret")
    for before in (0, 1, 2**62):
        assert Cursors("secret").read(cursors.make(before, Filters("a")), Filters("a")) == before


def test_any_other_cursor_is_refused() -> None:
    cursors = Cursors("secret")
    cursor = cursors.make(12, Filters("a"))
    wrong = [*changed(cursor), Cursors("another").make(12, Filters("a")), cursors.make(12, Filters("b"))]
    for text in wrong:
        with pytest.raises(BadRequest) as refused:
            cursors.read(text, Filters("a"))
        assert refused.value.errors[0]["loc"] == ["query", "cursor"]
