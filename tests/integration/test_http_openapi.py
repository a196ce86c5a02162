"""The OpenAPI page and the docs: every task typed, nothing from another host, nothing open that should be closed."""

from __future__ import annotations

import enum
import re
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel
from serving import Play, until

from easyjobs import EasyJobsWorker


class Size(enum.Enum):
    SMALL = 1


class Hats:
    class Size(enum.Enum):
        BIG = 2


class JobOut(BaseModel):
    """A model of the host's that is called like one of ours."""

    mine: int


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        found = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return found.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


def check(document: dict[str, Any]) -> None:
    """All references lead somewhere, and operations have names of their own."""
    for reference in references(document):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


async def test_each_task_has_its_own_typed_path() -> None:
    async with Play().served() as http:
        document = (await http.get("/openapi.json")).json()
        check(document)
        post = document["paths"]["/api/queues/play/tasks/add"]["post"]
        assert (post["summary"], post["description"]) == ("add: Adds.", "Adds.\n\nTwo numbers.")
        body = post["requestBody"]["content"]["application/json"]["schema"]
        assert body["properties"] == {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}}
        assert post["requestBody"]["required"] is True
        assert [p["name"] for p in post["parameters"]] == ["wait", "priority", "delay", "run_at", "Idempotency-Key"]
        assert post["x-easyjobs-available"] is True


async def test_types_of_two_tasks_that_are_called_alike_are_kept_apart() -> None:
    play = Play()

    @play.manager.task(namespace="a", name="paint")
    async def one(size: Size) -> None: ...

    @play.manager.task(namespace="b", name="paint")
    async def two(size: Hats.Size) -> None: ...

    async with play.served() as http:
        document = (await http.get("/openapi.json")).json()
        check(document)

        def enums(queue: str) -> Any:
            body = document["paths"][f"/api/queues/{queue}/tasks/paint"]["post"]["requestBody"]
            schema = body["content"]["application/json"]["schema"]["properties"]["size"]
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            return schema["enum"]

        assert enums("a") == [1]
        assert enums("b") == [2]


async def test_the_task_of_a_worker_that_went_stays_and_is_marked() -> None:
    play = Play()
    async with play.served() as http:
        from easyjobs.hub.embedded import connect

        async def dial() -> Any:
            return connect(play.manager.hub, play.manager._nursery)

        worker = EasyJobsWorker("far", manager_secret="x", connect=dial, name="far", watchdog=False)

        @worker.task
        async def travel(to: str) -> None: ...

        async def operation() -> Any:
            document = (await http.get("/openapi.json")).json()
            check(document)
            return document["paths"].get("/api/queues/far/tasks/travel", {}).get("post")

        assert await operation() is None
        async with worker:
            post = await until(operation)
            assert (post["summary"], post["x-easyjobs-available"]) == ("travel", True)

        async def gone() -> Any:
            post = await operation()
            return post if not post["x-easyjobs-available"] else None

        assert (await until(gone))["summary"] == "travel (no worker offers it now)"


async def test_the_hosts_own_routes_and_models_stay_as_they_are() -> None:
    play = Play()
    router = APIRouter()

    @router.get("/things/{id}")
    async def thing(id: int) -> JobOut:
        return JobOut(mine=id)

    play.app.include_router(router)
    async with play.served() as http:
        document = (await http.get("/openapi.json")).json()
        check(document)
        shown = document["paths"]["/things/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert shown == {"$ref": "#/components/schemas/JobOut"}
        assert list(document["components"]["schemas"]["JobOut"]["properties"]) == ["mine"]
        assert document["info"]["title"] == "FastAPI"
        async with play.client(headers={}) as stranger:
            assert (await stranger.get("/things/3")).json() == {"mine": 3}, "the gate is not before the host's routes"
            wrong = await stranger.get("/things/x")
            assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/json")
            assert (await stranger.get("/nothing")).json() == {"detail": "Not Found"}


async def test_a_route_of_the_host_that_catches_all_does_not_hide_ours() -> None:
    play = Play()

    @play.app.get("/{path:path}")
    async def everything(path: str) -> str:
        return path

    async with play.served() as http:
        assert (await http.get("/api/jobs")).json()["items"] == []
        assert (await http.get("/elsewhere")).json() == "elsewhere"


async def test_without_a_prefix_no_page_of_the_host_shows_our_routes_to_strangers() -> None:
    play = Play()
    async with play.served() as http, play.client(headers={}) as stranger:
        assert (await http.get("/redoc")).status_code == 404
        assert (await http.get("/docs/oauth2-redirect")).status_code == 404
        for path in ("/docs", "/openapi.json"):
            assert (await stranger.get(path)).status_code == 401
        assert "/api/jobs" in play.app.openapi()["paths"]


async def test_below_a_prefix_the_hosts_documentation_stays_its_own() -> None:
    play = Play(prefix="/jobs")
    async with play.served() as http, play.client(headers={}) as stranger:
        host = (await stranger.get("/openapi.json")).json()
        assert host["paths"] == {}
        assert (await stranger.get("/docs")).status_code == 200
        assert (await stranger.get("/jobs/openapi.json")).status_code == 401
        ours = (await http.get("/jobs/openapi.json")).json()
        check(ours)
        assert "/jobs/api/queues/play/tasks/add" in ours["paths"]
        assert all(path.startswith("/jobs/") for path in ours["paths"])


@pytest.mark.parametrize("prefix", ["", "/jobs"])
async def test_the_docs_load_nothing_from_elsewhere(prefix: str) -> None:
    async with Play(prefix=prefix).served() as http:
        page = await http.get(f"{prefix}/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        links = re.findall(r'(?:src|href|data-openapi)="([^"]*)"', page.text)
        assert len(links) == 6
        for link in links:
            assert link.startswith(f"{prefix}/")
            answer = await http.get(link)
            assert answer.status_code == 200, link
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script>" not in page.text


async def test_behind_a_proxys_path_the_document_says_so() -> None:
    play = Play(prefix="/jobs")
    behind = httpx.ASGITransport(play.app, root_path="/proxy")
    async with play.served(), play.client(transport=behind) as http:
        document = (await http.get("/proxy/jobs/openapi.json")).json()
        assert document["servers"] == [{"url": "/proxy"}]
        assert "/jobs/api/jobs" in document["paths"]
        page = (await http.get("/proxy/jobs/docs")).text
        assert 'data-openapi="/proxy/jobs/openapi.json"' in page
        made = await http.post("/proxy/jobs/api/queues/play/tasks/add?wait=10", json={"a": 1})
        assert made.headers["location"].startswith("/proxy/jobs/api/jobs/")
