"""How either side proves that it knows the secret without saying it: a challenge, and an HMAC of it.

The server refuses the first try with `WWW-Authenticate: EasyJobs nonce="…"`; the second try carries
`Authorization: EasyJobs <version>.<nonce>.<mac>`. Making nonces, and seeing that each is used once, is the server's.

A child process knows no secret but its own attempt's token, and shows that: `EasyJobs-Attempt <job>.<attempt>.<token>`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

from easyjobs.protocol.messages import Held

SCHEME: Final = "EasyJobs"
ATTEMPT_SCHEME: Final = "EasyJobs-Attempt"
VERSION: Final = 1

_NONCE: Final = "[A-Za-z0-9_-]{1,256}"
_CHALLENGE: Final = re.compile(rf'{SCHEME} +nonce="({_NONCE})" *\Z', re.IGNORECASE)
_AUTHORIZATION: Final = re.compile(rf"{SCHEME} +([0-9]{{1,4}})\.({_NONCE})\.([0-9a-f]{{64}}) *\Z", re.IGNORECASE)
_ATTEMPT: Final = re.compile(
    rf"{ATTEMPT_SCHEME} +([0-9a-f-]{{36}})\.([0-9]{{1,9}})\.([A-Za-z0-9_-]{{1,128}}) *\Z", re.IGNORECASE
)


class Authorization(NamedTuple):
    """What an `Authorization` header of ours says, before anybody has judged it."""

    version: int
    nonce: str
    mac: str


def proof(secret: str, nonce: str) -> str:
    """The HMAC-SHA256 of `nonce` under `secret`, as 64 hex digits."""
    return hmac.new(secret.encode(), f"easyjobs-ws:{VERSION}:{nonce}".encode(), hashlib.sha256).hexdigest()


def verify(secret: str, given: Authorization) -> bool:
    """Whether `given` proves `secret`, found out in constant time. That its nonce is fresh is the caller's to see."""
    return given.version == VERSION and hmac.compare_digest(proof(secret, given.nonce), given.mac)


def challenge(nonce: str) -> str:
    """The value of the `WWW-Authenticate` header that asks for a proof over `nonce` (`A-Z a-z 0-9 _ -`, at most 256).

    :raises ValueError: the nonce has other characters, so that nobody could answer it.
    """
    header = f'{SCHEME} nonce="{nonce}"'
    if parse_challenge(header) is None:
        raise ValueError("a nonce has 1 to 256 of A-Z a-z 0-9 _ -")
    return header


def parse_challenge(header: str) -> str | None:
    """The nonce of a `WWW-Authenticate` header; None when it is not ours."""
    match = _CHALLENGE.match(header)
    return match[1] if match else None


def authorization(secret: str, nonce: str) -> str:
    """The value of the `Authorization` header that answers a challenge."""
    return f"{SCHEME} {VERSION}.{nonce}.{proof(secret, nonce)}"


def parse_authorization(header: str) -> Authorization | None:
    """What an `Authorization` header says: (version, nonce, mac); None when it is not ours or not readable."""
    match = _AUTHORIZATION.match(header)
    return Authorization(int(match[1]), match[2], match[3].lower()) if match else None


def attempt_authorization(attempt: Held) -> str:
    """The value of the `Authorization` header that a child process shows for its attempt."""
    return f"{ATTEMPT_SCHEME} {attempt.job}.{attempt.attempt}.{attempt.token}"


def parse_attempt(header: str) -> Held | None:
    """The attempt that an `Authorization` header names, not judged yet; None when it is of another kind."""
    match = _ATTEMPT.match(header)
    return Held(match[1], int(match[2]), match[3]) if match else None
