"""Requests made up from the OpenAPI page: none of them makes the manager fail, and each answer is as the page says."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error, response_schema_conformance, status_code_conformance
from serving import BEARER, Play

from easyjobs import chain, task_named

CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A manager on a socket, in a thread with a loop of its own."""
    play = Play()
    play.gate.set()
    play.manager.workflow("flow", chain(task_named("talk"), task_named("boom")), namespace="play")
    server = uvicorn.Server(uvicorn.Config(play.app, host="127.0.0.1", port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


class Aim:
    """Points two requests of three at what is there: made-up names alone would find nothing but 404."""

    def __init__(self, where: str) -> None:
        jobs = [{"queue": "play", "task": task} for task in ("talk", "boom", "patient") for _ in range(200)]
        made = httpx.post(f"{where}/api/jobs", headers=BEARER, json=jobs).json()["items"]
        runs = [httpx.post(f"{where}/api/workflows/flow/runs", headers=BEARER, json={}).json() for _ in range(20)]
        self._ids = {"id": itertools.cycle([one["id"] for pair in zip(made, runs * 30, strict=True) for one in pair])}
        yearly = {"queue": "play", "task": "talk", "cron": "0 0 1 1 *"}
        made = [httpx.post(f"{where}/api/schedules", headers=BEARER, json=yearly).json() for _ in range(20)]
        self._ids["schedule"] = itertools.cycle([schedule["id"] for schedule in made])
        workers = httpx.get(f"{where}/api/workers", headers=BEARER).json()["items"]
        self._names = {"queue": "play", "task": "add", "worker": workers[0]["id"], "name": "flow"}
        self._turns = itertools.count()

    def at(self, case: Case) -> Case:
        """The same request, aimed, and without waiting a minute for its answer."""
        if next(self._turns) % 3:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = next(self._ids[name]) if name in self._ids else self._names[name]
        if isinstance(case.query, dict) and isinstance(case.query.get("wait"), int | float):
            case.query["wait"] = min(case.query["wait"], 0.02)
        return case


def ask(operation: Any, mode: GenerationMode, aim: Aim, times: int) -> int:
    """Ask one operation up to so many times with made-up values; how many answers there were."""
    answers: list[int] = []

    @seed(2026)
    @settings(max_examples=times, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def asking(case: Case) -> None:
        answer = aim.at(case).call(headers=BEARER)
        # the page calls a stream text, of which it is checked event by event whether each is one
        text = answer.headers.get("content-type", [""])[0].startswith("text/event-stream")
        case.validate_response(answer, checks=[c for c in CHECKS if not text or c is not response_schema_conformance])
        answers.append(answer.status_code)

    try:
        asking()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing can be wrong where nothing is asked for
    return len(answers)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [6, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_no_request_makes_the_manager_fail(where: str, mode: GenerationMode, times: int) -> None:
    schema = schemathesis.openapi.from_url(f"{where}/openapi.json", headers=BEARER)
    aim = Aim(where)
    asked = [ask(found.ok(), mode, aim, times) for found in schema.get_all_operations()]
    assert len([answers for answers in asked if answers]) >= 16
