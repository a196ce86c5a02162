"""Messages and frames: what is written is read again, and what is no frame is refused with its place."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from easyjobs.errors import ProtocolError
from easyjobs.protocol import messages
from easyjobs.protocol.codec import decode_from_manager, decode_from_peer, encode
from easyjobs.protocol.messages import (
    Ack,
    Assign,
    Assignment,
    Finished,
    FromManager,
    FromPeer,
    Held,
    Hello,
    Limits,
    Outcome,
    Ping,
    Submission,
    Submit,
    Welcome,
)


def test_a_frame_of_a_peer_is_read_as_it_was_written() -> None:
    said: list[FromPeer] = [
        Hello(1, "worker", worker_id="w", held=[Held("j", 1, "t")], unacked=[Outcome("k", 2, "u")]),
        Finished([Outcome("j", 1, "t", result=msgspec.Raw(b'{"n":1}'))]),
        Submit([Submission("i", "q", "t", kwargs=msgspec.Raw(b'{"a":[1,2]}'))]),
        Ping(),
    ]
    heard = decode_from_peer(encode(said))
    assert encode(heard) == encode(said)
    assert [type(m) for m in heard] == [Hello, Finished, Submit, Ping]


def test_a_frame_of_a_manager_is_read_as_it_was_written() -> None:
    said: list[FromManager] = [
        Welcome("s", 3, Limits(frame=1000)),
        Assign([Assignment("j", 1, "t", "q", "n", args=msgspec.Raw(b"[1]"))]),
        Ack(applied=["j"]),
    ]
    assert encode(decode_from_manager(encode(said))) == encode(said)


def test_results_stay_raw_from_door_to_door() -> None:
    raw = b'{ "spaces" :  "stay" }'
    (finished,) = decode_from_peer(encode([Finished([Outcome("j", 1, "t", result=msgspec.Raw(raw))])]))
    assert isinstance(finished, Finished)
    assert bytes(finished.outcomes[0].result) == raw


def test_every_message_has_a_tag_of_its_own_and_says_what_it_means() -> None:
    for side in (FromPeer, FromManager):
        kinds = get_args(side)
        tags = [msgspec.inspect.type_info(kind).tag for kind in kinds]  # type: ignore[attr-defined]
        assert len(set(tags)) == len(tags)
        assert all(kind.__doc__ for kind in kinds)
    assert messages.PROTOCOL == 1


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{}",
        b"garbage",
        b"[" * 200_000,
        b'[{"t":"nonsense"}]',
        b'[{"t":"finished"}]',
        b'[{"t":"assign","jobs":[]}]',
        b'[{"t":"hello","protocol":"one","role":"worker"}]',
        b'[{"t":"hello","protocol":1,"role":"king"}]',
        b'["\xff"]',
    ],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_from_peer(frame)
    assert refused.value.code == 4406


def test_what_only_a_peer_may_say_is_refused_from_a_manager() -> None:
    with pytest.raises(ProtocolError):
        decode_from_manager(encode([Finished([])]))


def test_fields_of_later_versions_are_passed_over() -> None:
    assert decode_from_manager(b'[{"t":"ping","new":1}]') == [Ping()]
