"""What the manager answered, as the values and exceptions that callers get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from easyjobs.errors import JobCancelled, JobFailed, Refused
from easyjobs.protocol.messages import Ended, Refusal

_decode = msgspec.json.Decoder().decode
_decode_error = msgspec.json.Decoder(dict[str, Any]).decode
_decode_errors = msgspec.json.Decoder(list[dict[str, Any]]).decode


def outcome(ended: Ended) -> Any:
    """The result of a job that ended.

    :raises JobFailed, JobCancelled: it ended otherwise.
    """
    if ended.state == "completed":
        return _decode(ended.result)
    raw = bytes(ended.error)
    error = {} if raw == b"null" else _decode_error(raw)
    raise (JobFailed if ended.state == "failed" else JobCancelled)(ended.id, error, ended.state)


def refusal(message: Refusal) -> Refused:
    """The manager's no as the exception that HTTP would give."""
    error = _KINDS.get((message.status, message.title)) or _BY_STATUS.get(message.status) or Refused
    return error(message.detail, errors=_decode_errors(message.errors))


def _kinds(root: type[Refused]) -> Iterator[type[Refused]]:
    for kind in root.__subclasses__():
        yield kind
        yield from _kinds(kind)


_KINDS: Final = {(kind.status, kind.title): kind for kind in _kinds(Refused)}
_BY_STATUS: Final = {kind.status: kind for kind in reversed(list(_kinds(Refused)))}
