"""Frames: an array of messages each way; what is anything else is refused with its place."""

from __future__ import annotations

import pytest

from easyjobs.errors import ProtocolError
from easyjobs.protocol.codec import decode_from_manager, decode_from_peer, encode
from easyjobs.protocol.messages import Ack, Forget, Ping


def test_a_frame_holds_many_messages_in_order() -> None:
    said = [Ping(), Forget(["a", "b"]), Ping()]
    assert decode_from_peer(encode(said)) == said
    assert decode_from_manager(encode([Ack(applied=["a"])])) == [Ack(applied=["a"])]


def test_text_frames_are_frames_too() -> None:
    assert decode_from_peer('[{"t":"ping"}]') == [Ping()]


def test_a_refusal_names_the_place() -> None:
    with pytest.raises(ProtocolError, match=r"unreadable frame: .*\$\[0\]\.ids") as refused:
        decode_from_peer(b'[{"t":"forget","ids":7}]')
    assert refused.value.code == 4406


@pytest.mark.parametrize("frame", [b"[" * 200_000, '["\ud800"]', b'["\xff"]', b"", b"null"])
def test_what_is_no_json_or_no_array_is_refused(frame: bytes | str) -> None:
    with pytest.raises(ProtocolError):
        decode_from_manager(frame)
