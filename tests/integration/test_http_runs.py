"""Workflows and their runs over HTTP: listed, shown, started, waited for, cancelled, repeated, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from flows import Flows, known
from serving import until

RUN = [
    "id",
    "workflow",
    "queue",
    "state",
    "priority",
    "args",
    "kwargs",
    "jobs",
    "tasks",
    "progress",
    "created_at",
    "run_at",
    "started_at",
    "finished_at",
    "result",
    "error",
    "cancelled_by",
    "retry_of",
    "parent",
    "schedule",
    "tick",
    "key",
]
NODE = [
    "name",
    "task",
    "title",
    "after",
    "mapped",
    "state",
    "job",
    "attempt",
    "worker",
    "started_at",
    "finished_at",
    "progress",
    "error",
]
UNKNOWN = "01a1fc89-100e-7364-addd-13e540021a88"


async def start(http: httpx.AsyncClient, name: str, body: dict[str, Any], query: str = "") -> dict[str, Any]:
    answer = await http.post(f"/api/workflows/{name}/runs{query}", json=body)
    assert answer.status_code in (200, 202), answer.text
    run: dict[str, Any] = answer.json()
    return run


def detail(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    text: str = answer.json()["detail"]
    return text


async def test_workflows_are_listed_and_shown_with_their_tasks() -> None:
    async with Flows().served() as http:
        await known(http)
        items = (await http.get("/api/workflows")).json()["items"]
        assert [(item["queue"], item["name"]) for item in items] == [
            ("left", "twin"),
            ("play", "many"),
            ("play", "tens"),
            ("play", "waits"),
            ("right", "twin"),
        ]
        shown = (await http.get("/api/workflows/tens")).json()
        assert (shown["title"], shown["doc"], shown["tasks"], shown["concurrency"]) == ("Ten times", "Shaky.", 2, 5)
        assert (shown["schedules"], shown["active"], shown["open_runs"]) == (["play:tens"], True, 0)
        assert shown["parameters"]["required"] == ["n"]
        assert shown["levels"] == [["one"], ["shaky"]]
        assert [(step["name"], step["after"]) for step in shown["steps"]] == [("one", []), ("shaky", ["one"])]
        await http.post("/api/schedules/play:tens/pause")
        assert (await http.get("/api/workflows/play:tens")).json()["active"] is False
        assert (await http.get("/api/workflows/waits")).json()["active"] is None
        assert "No workflow 'nope'; known: " in detail(await http.get("/api/workflows/nope"), 404)
        assert "say which of left:twin, right:twin" in detail(await http.get("/api/workflows/twin"), 409)
        assert (await http.get("/api/workflows/left:twin")).json()["queue"] == "left"


async def test_a_run_is_started_and_waited_for() -> None:
    flows = Flows()
    flows.good = True
    async with flows.served() as http:
        await known(http)
        answer = await http.post("/api/workflows/tens/runs?wait=20&priority=3", json={"n": 4})
        assert answer.status_code == 200
        run = answer.json()
        assert list(run) == RUN
        assert answer.headers["location"].endswith(f"/api/runs/{run['id']}")
        assert (run["workflow"], run["state"], run["priority"], run["kwargs"]) == ("tens", "completed", 3, {"n": 4})
        assert (run["jobs"], run["tasks"], run["progress"], run["result"]) == ({"completed": 2}, 2, 1.0, 40)
        assert (await http.get(f"/api/runs/{run['id']}")).json() == run
        later = await start(http, "tens", {"n": 1}, "?delay=3600")
        assert (later["state"], later["jobs"], later["progress"]) == ("queued", {}, 0.0)
        first, again = [
            await http.post("/api/workflows/tens/runs", json={"n": 5}, headers={"Idempotency-Key": "k"}) for _ in "ab"
        ]
        assert (first.status_code, again.status_code, again.json()["id"]) == (202, 200, first.json()["id"])
        other = await http.post("/api/workflows/tens/runs", json={"n": 6}, headers={"Idempotency-Key": "k"})
        assert other.status_code == 422


async def test_what_cannot_be_started_is_refused_and_says_why() -> None:
    async with Flows().served() as http:
        await known(http)
        wrong = await http.post("/api/workflows/tens/runs", json={"n": "four"})
        assert wrong.status_code == 422
        assert [error["loc"][-1] for error in wrong.json()["errors"]] == ["n"]
        assert (await http.post("/api/workflows/tens/runs", json={})).status_code == 422
        assert (await http.post("/api/workflows/tens/runs", json=[1])).status_code == 422
        assert (await http.post("/api/workflows/tens/runs", content=b"{")).status_code == 400
        assert (await http.post("/api/workflows/tens/runs?wait=61", json={"n": 1})).status_code == 422
        assert (await http.post("/api/workflows/tens/runs?nope=1", json={"n": 1})).status_code == 422
        detail(await http.post("/api/workflows/nope/runs", json={}), 404)
        detail(await http.post("/api/workflows/twin/runs", json={}), 409)
        assert (await http.get("/api/runs")).json()["items"] == [], "nothing was made"


async def test_runs_are_listed_by_what_is_asked_in_pages() -> None:
    async with Flows().served() as http:
        await known(http)
        runs = [await start(http, "many", {}, "?wait=20") for _ in range(5)]
        failed = await start(http, "tens", {"n": 1}, "?wait=20")
        far = await start(http, "right:twin", {}, "?wait=20")
        assert (await http.get("/api/jobs?task=many")).json()["items"], "a run is a job, too"

        async def ids(query: str) -> list[str]:
            return [run["id"] for run in (await http.get(f"/api/runs?{query}")).json()["items"]]

        newest = [run["id"] for run in (far, failed, *reversed(runs))]
        assert await ids("") == newest
        assert await ids("workflow=many") == newest[2:]
        assert await ids("workflow=right:twin") == [far["id"]]
        assert await ids("queue=right") == [far["id"]]
        assert await ids("workflow=many&queue=right") == []
        assert await ids("state=failed") == [failed["id"]]
        assert await ids("schedule=play:tens") == []
        assert await ids("since=2999-01-01T00:00:00Z") == []
        assert await ids("until=2999-01-01T00:00:00Z&limit=1") == newest[:1]
        seen, cursor = [], ""
        for _ in range(4):
            page = (await http.get(f"/api/runs?limit=2{cursor}")).json()
            seen += [run["id"] for run in page["items"]]
            cursor = f"&cursor={page['next']}"
        assert (seen, page["next"]) == (newest, None)
        first = (await http.get("/api/runs?limit=2")).json()["next"]
        assert (await http.get(f"/api/runs?limit=2&state=failed&cursor={first}")).status_code == 400, "of another list"
        for query, status in (
            ("cursor=x", 400),
            ("limit=0", 422),
            ("limit=201", 422),
            ("state=lost", 422),
            ("x=1", 422),
        ):
            assert (await http.get(f"/api/runs?{query}")).status_code == status, query
        detail(await http.get("/api/runs?workflow=nope"), 404)
        detail(await http.get("/api/runs?workflow=twin"), 409)


async def test_the_tasks_of_a_run_in_pages_before_and_while_it_goes_on() -> None:
    flows = Flows()
    async with flows.served() as http:
        await known(http)
        later = await start(http, "waits", {}, "?delay=3600")
        planned = (await http.get(f"/api/runs/{later['id']}/tasks")).json()["items"]
        assert [list(node) for node in planned] == [NODE, NODE]
        assert [(node["name"], node["state"], node["job"]) for node in planned] == [
            ("one", "planned", None),
            ("gated", "planned", None),
        ]
        run = await start(http, "waits", {})

        async def states() -> dict[str, str]:
            items = (await http.get(f"/api/runs/{run['id']}/tasks")).json()["items"]
            return {node["name"]: node["state"] for node in items}

        async def goes_on() -> bool:
            return await states() == {"one": "completed", "gated": "running"}

        await until(goes_on)
        shown = (await http.get(f"/api/runs/{run['id']}?wait=0.01")).json()
        assert (shown["state"], shown["progress"], shown["finished_at"]) == ("running", 0.5, None)
        assert (await http.get("/api/runs?state=waiting")).json()["items"][0]["id"] == run["id"]
        flows.gate.set()
        assert (await http.get(f"/api/runs/{run['id']}?wait=20")).json()["state"] == "completed"
        names, cursor = [], ""
        for _ in range(2):
            page = (await http.get(f"/api/runs/{run['id']}/tasks?limit=1{cursor}")).json()
            names += [node["name"] for node in page["items"]]
            cursor = f"&cursor={page['next']}"
        assert (names, page["next"]) == (["one", "gated"], None)
        first = (await http.get(f"/api/runs/{run['id']}/tasks?limit=1")).json()["next"]
        assert (await http.get(f"/api/runs/{later['id']}/tasks?cursor={first}")).status_code == 400, "of another run"
        assert (await http.get(f"/api/runs/{run['id']}/tasks?limit=1001")).status_code == 422


async def test_a_task_of_a_run_that_has_ended_is_shown_as_removed_when_it_was() -> None:
    async with Flows().served() as http:
        await known(http)
        run = await start(http, "tens", {"n": 1}, "?wait=20")
        tasks = f"/api/runs/{run['id']}/tasks"
        first, second = (await http.get(tasks)).json()["items"]
        assert (await http.delete(f"/api/jobs/{first['job']}")).status_code == 204
        shown, other = (await http.get(tasks)).json()["items"]
        assert (shown["name"], shown["state"], shown["job"]) == (first["name"], "removed", None)
        assert other == second
        left = (await http.get(f"/api/runs/{run['id']}")).json()
        assert (left["progress"], left["tasks"], left["finished_at"]) == (1.0, 2, run["finished_at"])


async def test_a_run_that_never_began_has_none_that_was_removed() -> None:
    async with Flows().served() as http:
        await known(http)
        run = await start(http, "tens", {"n": 1}, "?delay=3600")
        assert (await http.post(f"/api/runs/{run['id']}/cancel")).json()["state"] == "cancelled"
        items = (await http.get(f"/api/runs/{run['id']}/tasks")).json()["items"]
        assert [task["state"] for task in items] == ["planned", "planned"]


async def test_a_run_is_cancelled_as_often_as_one_likes() -> None:
    async with Flows().served() as http:
        await known(http)
        run = await start(http, "waits", {})
        path = f"/api/runs/{run['id']}"

        async def goes_on() -> bool:
            return "running" in (await http.get(path)).json()["jobs"]

        await until(goes_on)
        asked = await http.post(f"{path}/cancel")
        assert asked.status_code in (200, 202)
        assert asked.json()["state"] in ("stopping", "cancelled")
        ended = (await http.get(f"{path}?wait=20")).json()
        assert (ended["state"], ended["jobs"]) == ("cancelled", {"cancelled": 1, "completed": 1})
        assert ended["cancelled_by"]
        again = await http.post(f"{path}/cancel")
        assert (again.status_code, again.json()) == (200, ended)


async def test_a_run_is_repeated_from_where_it_failed_once() -> None:
    flows = Flows()
    async with flows.served() as http:
        await known(http)
        failed = await start(http, "tens", {"n": 2}, "?wait=20")
        assert (failed["state"], failed["error"]["type"]) == ("failed", "RunFailed")
        assert failed["jobs"] == {"completed": 1, "failed": 1}
        flows.good = True
        flows.ran.clear()
        made = await http.post(f"/api/runs/{failed['id']}/retry")
        assert (made.status_code, made.json()["retry_of"]) == (202, failed["id"])
        assert made.headers["location"].endswith(made.json()["id"])
        ended = (await http.get(f"/api/runs/{made.json()['id']}?wait=20")).json()
        assert (ended["state"], ended["result"]) == ("completed", 20)
        assert flows.ran == ["shaky"], "what had completed was kept"
        waits = await start(http, "waits", {})
        assert "only a job that has ended can be run again" in detail(
            await http.post(f"/api/runs/{waits['id']}/retry"), 409
        )
        flows.gate.set()


@pytest.mark.parametrize("id", [UNKNOWN, "no-id", UNKNOWN.upper()])
async def test_a_run_that_is_not_there_is_404_everywhere(id: str) -> None:
    async with Flows().served() as http:
        for method, path in (("GET", ""), ("GET", "/tasks"), ("POST", "/cancel"), ("POST", "/retry")):
            assert "No run" in detail(await http.request(method, f"/api/runs/{id}{path}"), 404)


async def test_a_job_that_is_no_run_is_none_here() -> None:
    async with Flows().served() as http:
        job = (await http.post("/api/queues/play/tasks/add?wait=20", json={"a": 1})).json()
        for method, path in (("GET", ""), ("GET", "/tasks"), ("POST", "/cancel"), ("POST", "/retry")):
            assert "No run" in detail(await http.request(method, f"/api/runs/{job['id']}{path}"), 404)
