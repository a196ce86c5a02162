"""Every error that may reach a client is a problem with a status of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from easyjobs import errors
from easyjobs.api.problems import problem, refusal

SCOPE: dict[str, Any] = {"type": "http", "path": "/api/x", "easyjobs.root": "/jobs"}
OURS = {"RegistrationError", "ConfigurationError", "IllegalTransition", "ProtocolError"}  # never a client's doing


def all_errors(root: type[BaseException] = errors.EasyJobsError) -> Iterator[type[BaseException]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from all_errors(kind)


@pytest.mark.parametrize("kind", [*all_errors(errors.Refused), *all_errors(errors.StoreError)])
def test_each_refusal_and_each_failure_of_a_store_has_its_status(kind: type[Exception]) -> None:
    refused = refusal(kind("why"))
    assert refused.status != 500
    assert refused.status == getattr(kind, "status", refused.status)


def test_a_problem_says_what_where_and_why() -> None:
    why = errors.ArgumentsRefused("They do not fit.", errors=[{"loc": ["kwargs", 0], "message": "no"}])
    answer = problem(why, SCOPE)
    assert answer.status_code == 422
    assert answer.media_type == "application/problem+json"
    assert msgspec.json.decode(answer.body) == {
        "type": "urn:easyjobs:wrong-arguments",
        "title": "Wrong arguments",
        "status": 422,
        "detail": "They do not fit.",
        "errors": [{"loc": ["kwargs", 0], "message": "no"}],
        "instance": "/jobs/api/x",
    }


def test_what_may_be_tried_again_says_when() -> None:
    assert problem(errors.TooMany("full"), SCOPE).headers["retry-after"] == "1"
    assert problem(errors.Unavailable("off"), SCOPE).headers["retry-after"] == "1"
    assert "retry-after" not in problem(errors.Conflict("no"), SCOPE).headers


def test_a_mistake_of_ours_tells_nothing() -> None:
    refused = refusal(KeyError("inner thoughts"))
    assert refused.status == 500
    assert "inner" not in str(refused)


def test_the_frameworks_own_errors_keep_their_status() -> None:
    assert [refusal(HTTPException(status)).status for status in (404, 405, 418)] == [404, 405, 418]
    assert refusal(ClientDisconnect()).status == 400


def test_texts_that_utf_8_cannot_say_are_still_answered() -> None:
    bad = "\ud800"
    why = errors.NotFound(bad, errors=[{"loc": [bad, 1], "message": bad}])
    body = msgspec.json.decode(problem(why, {**SCOPE, "path": f"/{bad}"}).body)
    assert body["detail"] == "\\ud800"
    assert body["errors"] == [{"loc": ["\\ud800", 1], "message": "\\ud800"}]
