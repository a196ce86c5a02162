"""Frames to messages and back. One codec: JSON, because arguments and results are JSON anyway and stay raw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from easyjobs.errors import ProtocolError
from easyjobs.protocol.messages import FromManager, FromPeer

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_from_peer = msgspec.json.Decoder(list[FromPeer])
_from_manager = msgspec.json.Decoder(list[FromManager])


def encode(messages: Sequence[FromPeer | FromManager]) -> bytes:
    """One frame. `Raw` fields must hold valid JSON: what comes from a disk is checked before it comes here."""
    return _encoder.encode(messages)


def decode_from_peer(frame: bytes | str) -> list[FromPeer]:
    """The messages of a frame that a worker, child or client sent.

    :raises ProtocolError: it is no array of known messages; names the place.
    """
    return _decode(_from_peer, frame)


def decode_from_manager(frame: bytes | str) -> list[FromManager]:
    """The messages of a frame that a manager sent.

    :raises ProtocolError: it is no array of known messages; names the place.
    """
    return _decode(_from_manager, frame)


def _decode(decoder: msgspec.json.Decoder[list[T]], frame: bytes | str) -> list[T]:
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ProtocolError(f"unreadable frame: {error}") from None
