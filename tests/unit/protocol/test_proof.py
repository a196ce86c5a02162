"""Proving the secret without saying it."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from easyjobs.protocol.messages import Held
from easyjobs.protocol.proof import (
    Authorization,
    attempt_authorization,
    authorization,
    challenge,
    parse_attempt,
    parse_authorization,
    parse_challenge,
    proof,
    verify,
)

SECRET = "correct horse"
NONCE = "abc-DEF_123"


def test_the_answer_to_a_challenge_proves_the_secret() -> None:
    nonce = parse_challenge(challenge(NONCE))
    assert nonce == NONCE
    given = parse_authorization(authorization(SECRET, nonce))
    assert given is not None
    assert given.nonce == NONCE
    assert verify(SECRET, given)


def test_the_proof_is_the_documented_hmac() -> None:
    expected = hmac.new(SECRET.encode(), b"easyjobs-ws:1:" + NONCE.encode(), hashlib.sha256).hexdigest()
    assert proof(SECRET, NONCE) == expected
    assert authorization(SECRET, NONCE) == f"EasyJobs 1.{NONCE}.{expected}"


def test_neither_header_holds_the_secret() -> None:
    assert SECRET not in authorization(SECRET, NONCE) + challenge(NONCE)


@pytest.mark.parametrize(
    "given",
    [
        Authorization(1, NONCE, proof("other", NONCE)),
        Authorization(1, "another", proof(SECRET, NONCE)),
        Authorization(2, NONCE, proof(SECRET, NONCE)),
        Authorization(1, NONCE, ""),
    ],
)
def test_another_secret_nonce_or_version_proves_nothing(given: Authorization) -> None:
    assert not verify(SECRET, given)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer abc",
        "EasyJobs",
        "EasyJobs 1.abc",
        "EasyJobs 1.abc.zz",
        f"EasyJobs 1.a b.{'0' * 64}",
        f"EasyJobs 1.abc.{'0' * 65}",
        f"EasyJobs 99999.abc.{'0' * 64}",
        f"EasyJobs 1.{'n' * 257}.{'0' * 64}",
        f"EasyJobs 1.abc.{'0' * 64}\n",
    ],
)
def test_a_header_that_is_not_ours_is_none(header: str) -> None:
    assert parse_authorization(header) is None


@pytest.mark.parametrize("header", ["", "Basic realm=x", "EasyJobs", 'EasyJobs nonce=""', 'EasyJobs nonce="a b"'])
def test_a_challenge_that_is_not_ours_is_none(header: str) -> None:
    assert parse_challenge(header) is None


def test_a_nonce_that_nobody_could_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="nonce"):
        challenge('a"b')


ATTEMPT = Held("019a0000-0000-7000-8000-00000000000a", 12, "0123456789abcdef01234567")


def test_an_attempt_is_shown_and_read() -> None:
    header = attempt_authorization(ATTEMPT)
    assert header == f"EasyJobs-Attempt {ATTEMPT.job}.12.{ATTEMPT.token}"
    assert parse_attempt(header) == ATTEMPT
    assert parse_authorization(header) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer abc",
        "EasyJobs-Attempt",
        f"EasyJobs-Attempt {ATTEMPT.job}.1",
        f"EasyJobs-Attempt {ATTEMPT.job}.x.abc",
        f"EasyJobs-Attempt {ATTEMPT.job}.1.",
        f"EasyJobs-Attempt {ATTEMPT.job}.1.a b",
        f"EasyJobs-Attempt {ATTEMPT.job[:-1]}.1.abc",
        f"EasyJobs-Attempt {ATTEMPT.job}.1.{'a' * 129}",
        f"EasyJobs-Attempt {ATTEMPT.job}.1.abc\n",
    ],
)
def test_a_header_that_shows_no_attempt_is_none(header: str) -> None:
    assert parse_attempt(header) is None
