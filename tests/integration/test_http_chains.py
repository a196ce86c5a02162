"""Chains over HTTP: a job among its kin, and the chain as a whole."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from serving import Play, until

from easyjobs.errors import RegistrationError


def chained(**options: Any) -> Play:
    """extract → transform, which needs `prepare` first; `transform` fails when it is told to, and `help` is told."""
    play = Play(**options)
    task = play.manager.task

    @task(namespace="etl", run_after="transform")
    async def extract(data: Any) -> dict[str, Any]:
        return {"data": data}

    @task(namespace="etl", run_before=["play:patient"], on_failure="play:help", retries=0)
    async def transform(data: Any) -> Any:
        if data == "bad":
            raise ValueError("bad data")
        return data

    @task(namespace="play")
    async def help(failure: dict[str, Any]) -> str:
        return str(failure["error"]["message"])

    return play


async def job(http: httpx.AsyncClient, id: str) -> Any:
    return (await http.get(f"/api/jobs/{id}")).json()


async def tree(http: httpx.AsyncClient, id: str) -> Any:
    return (await http.get(f"/api/jobs/{id}/tree")).json()


async def state(http: httpx.AsyncClient, id: str, wanted: str) -> bool:
    return (await job(http, id))["state"] == wanted


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
async def test_a_chain_runs_to_its_end_and_is_shown_whole(store: str, tmp_path: Any) -> None:
    play = chained(store=f"sqlite:///{tmp_path}/jobs.db" if store == "sqlite" else store)
    async with play.served() as http:
        first = (await http.post("/api/queues/etl/tasks/extract?wait=10", json={"data": 5})).json()
        assert first["state"] == "completed"
        (second,) = (await job(http, first["id"]))["children"]
        await until(lambda: state(http, second, "waiting"))
        waiting = await job(http, second)
        assert (waiting["parent"], waiting["relation"], waiting["kwargs"]) == (first["id"], "after", {"data": 5})
        (prepare,) = waiting["waits_for"]
        assert waiting["children"] == [prepare]
        play.gate.set()
        await until(lambda: state(http, second, "completed"))
        assert (await job(http, second))["waits_for"] == []
        shown = await tree(http, prepare)
        assert (shown["root"], shown["cut"]) == (first["id"], False)
        kin = [(i["task"], i["depth"], i["relation"], i["state"], i["prerequisites"]) for i in shown["items"]]
        assert kin == [
            ("extract", 0, None, "completed", []),
            ("transform", 1, "after", "completed", [prepare]),
            ("patient", 2, "before", "completed", []),
        ]
        assert await tree(http, first["id"]) == await tree(http, second) == shown


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
async def test_unique_tasks_are_joined_and_what_does_not_bind_fails_at_once(store: str, tmp_path: Any) -> None:
    play = Play(store=f"sqlite:///{tmp_path}/jobs.db" if store == "sqlite" else store)
    task = play.manager.task

    @task(namespace="u", unique=True)
    async def shared(n: int = 0) -> int:
        await play.gate.wait()
        return n

    @task(namespace="u", run_before=["shared"], run_after=["misfit"])
    async def first() -> int:
        return 0

    @task(namespace="u", run_after=["shared", "misfit"])
    async def second() -> int:
        return 0

    @task(namespace="u", on_failure="told")
    async def misfit(one: int, two: int) -> None: ...

    @task(namespace="u")
    async def told(failure: dict[str, Any]) -> str:
        return str(failure["error"]["message"])

    async with play.served() as http:
        waiting = [(await http.post("/api/queues/u/tasks/first")).json()["id"] for _ in range(3)]
        await http.post("/api/queues/u/tasks/shared?wait=0", json={"n": 0})
        ended = (await http.post("/api/queues/u/tasks/second?wait=10")).json()
        assert ended["state"] == "completed"
        assert len({(await job(http, id))["waits_for"][0] for id in waiting}) == 1
        play.gate.set()
        for id in waiting:
            await until(lambda id=id: state(http, id, "completed"))
        found = (await http.get("/api/jobs?queue=u&limit=100")).json()["items"]
        tasks = sorted(item["task"] for item in found if item["task"] != "told")
        assert tasks == ["first"] * 3 + ["misfit"] * 4 + ["second", "shared", "shared"]
        (misfit,) = [
            id for id in (await job(http, ended["id"]))["children"] if (await job(http, id))["task"] == "misfit"
        ]
        shown = await job(http, misfit)
        assert (shown["state"], shown["attempt"], shown["error"]["type"]) == ("failed", 0, "ArgumentsRefused")
        (help,) = shown["children"]
        await until(lambda: state(http, help, "completed"))
        assert "two: missing argument" in (await job(http, help))["result"]


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
async def test_large_results_are_handed_on(store: str, tmp_path: Any) -> None:
    play = Play(store=f"sqlite:///{tmp_path}/jobs.db" if store == "sqlite" else store)
    size = 1_000_000

    @play.manager.task(namespace="u", run_after="second")
    async def first() -> str:
        return "x" * size

    @play.manager.task(namespace="u", on_failure="third", retries=0)
    async def second(text: str) -> int:
        raise ValueError(len(text))

    @play.manager.task(namespace="u")
    async def third(failure: dict[str, Any]) -> Any:
        return [failure["error"]["message"], failure["args"] and len(failure["args"][0])]

    async with play.served() as http:
        made = (await http.post("/api/queues/u/tasks/first?wait=10")).json()

        async def ended() -> Any:
            items = (await tree(http, made["id"]))["items"]
            return items if len(items) == 3 and items[-1]["state"] == "completed" else None

        third_item = (await until(ended))[-1]
        assert (await job(http, third_item["id"]))["result"] == ["1000000", 1_000_000]


async def test_a_failure_is_looked_after_and_seen_in_the_tree() -> None:
    play = chained()
    play.gate.set()
    async with play.served() as http:
        first = (await http.post("/api/queues/etl/tasks/extract?wait=10", json={"data": "bad"})).json()

        async def helped() -> Any:
            items = (await tree(http, first["id"]))["items"]
            return items if items[-1]["task"] == "help" and items[-1]["state"] == "completed" else None

        items = await until(helped)
        assert [(i["task"], i["relation"], i["error"]) for i in items[1:]] == [
            ("transform", "after", "ValueError: bad data"),
            ("patient", "before", None),
            ("help", "failure", None),
        ]
        assert (await job(http, items[-1]["id"]))["result"] == "bad data"
        again = (await http.post(f"/api/jobs/{items[1]['id']}/retry")).json()
        repeated = (await http.post(f"/api/jobs/{items[1]['id']}/retry")).json()
        assert again["id"] == repeated["id"]
        assert (await job(http, again["id"]))["retry_of"] == items[1]["id"]


async def test_cancelling_a_waiting_job_cancels_what_was_made_for_it() -> None:
    play = chained()
    async with play.served() as http:
        made = (await http.post("/api/queues/etl/tasks/transform", json={"data": 1})).json()
        (prepare,) = (await job(http, made["id"]))["waits_for"]
        assert (await http.post(f"/api/jobs/{made['id']}/cancel")).status_code == 200
        await until(lambda: state(http, prepare, "cancelled"))


async def test_trees_of_nothing_are_not_found() -> None:
    async with Play().served() as http:
        for id in ("nonsense", "0198c0de-0000-7000-8000-000000000001"):
            answer = await http.get(f"/api/jobs/{id}/tree")
            assert (answer.status_code, answer.json()["title"]) == (404, "Not found")


def test_a_manager_s_own_chains_may_not_come_back() -> None:
    play = Play()

    @play.manager.task(namespace="play", run_after=["q:second"])
    async def first() -> None: ...

    async def second() -> None: ...

    closing = play.manager.task(namespace="q", on_failure="play:first")
    with pytest.raises(RegistrationError, match=r"may not come back: q:second → play:first → q:second$"):
        closing(second)
