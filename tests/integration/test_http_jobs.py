"""Jobs over HTTP: made, awaited, looked at, stopped, repeated, removed."""

from __future__ import annotations

import datetime
from typing import Any

import httpx
import pytest
from serving import Play, until

FIELDS = [
    "id",
    "queue",
    "task",
    "state",
    "priority",
    "args",
    "kwargs",
    "attempt",
    "max_attempts",
    "run_at",
    "created_at",
    "started_at",
    "finished_at",
    "worker",
    "result",
    "error",
    "parent",
    "run",
    "key",
    "progress",
    "schedule",
    "tick",
    "node",
]


async def test_a_job_is_made_and_its_result_comes_back() -> None:
    async with Play().served() as http:
        answer = await http.post("/api/queues/play/tasks/add?wait=10", json={"a": 2, "b": 40})
        job = answer.json()
        assert answer.status_code == 200
        assert list(job) == FIELDS
        assert (job["state"], job["result"], job["kwargs"], job["args"]) == ("completed", 42, {"a": 2, "b": 40}, [])
        assert answer.headers["location"] == f"/api/jobs/{job['id']}"
        shown = (await http.get(answer.headers["location"])).json()
        assert {name: shown.pop(name) for name in job} == job
        assert shown == {"relation": None, "retry_of": None, "children": [], "waits_for": []}


async def test_times_are_rfc_3339_in_utc() -> None:
    async with Play().served() as http:
        job = (await http.post("/api/queues/play/tasks/add?wait=10", json={"a": 1})).json()
        times = [datetime.datetime.fromisoformat(job[name]) for name in ("created_at", "started_at", "finished_at")]
        assert times == sorted(times)
        assert all(job[name].endswith("Z") for name in ("created_at", "run_at", "started_at", "finished_at"))


async def test_without_wait_the_answer_is_202_and_the_result_follows() -> None:
    play = Play()
    async with play.served() as http:
        made = await http.post("/api/queues/play/tasks/patient")
        assert made.status_code == 202
        url = made.headers["location"]
        assert (await http.get(f"{url}/result?wait=0.05")).status_code == 202
        play.gate.set()
        ended = await http.get(f"{url}/result?wait=10")
        assert ended.status_code == 200
        assert ended.json() == {"id": made.json()["id"], "state": "completed", "result": "done", "error": None}
        assert (await http.get(f"{url}/result")).json() == ended.json(), "reading a result does not delete it"


async def test_a_failure_shows_its_error() -> None:
    async with Play().served() as http:
        job = (await http.post("/api/queues/play/tasks/boom?wait=10", json={"message": "<script>"})).json()
        assert job["state"] == "failed"
        assert job["error"]["type"] == "ValueError"
        assert job["error"]["message"] == "<script>"
        assert "raise ValueError" in job["error"]["traceback"]
        (attempt,) = (await http.get(f"/api/jobs/{job['id']}/attempts")).json()["items"]
        assert (attempt["attempt"], attempt["end"], attempt["error"]["type"]) == (1, "failed", "ValueError")


async def test_the_same_key_gives_the_first_job_and_another_body_is_refused() -> None:
    play = Play()
    async with play.served() as http:
        url, key = "/api/queues/play/tasks/add?wait=10", {"Idempotency-Key": "order-1"}
        first = await http.post(url, json={"a": 1, "b": 2}, headers=key)
        again = await http.post(url, content=b'{"b": 2, "a": 1}', headers=key)
        other = await http.post(url, json={"a": 1, "b": 3}, headers=key)
        assert again.status_code == 200
        assert again.json() == first.json()
        assert first.json()["key"] == "order-1"
        assert other.status_code == 422
        assert play.ran == ["add 1 2"]


async def test_many_jobs_in_one_request_keep_their_order() -> None:
    async with Play().served() as http:
        jobs = [{"queue": "play", "task": "add", "args": [n], "priority": n} for n in range(50)]
        answer = await http.post("/api/jobs", json=jobs)
        assert answer.status_code == 202
        items = answer.json()["items"]
        assert [job["args"] for job in items] == [[n] for n in range(50)]
        assert [job["priority"] for job in items] == list(range(50))
        last = await http.get(f"/api/jobs/{items[-1]['id']}/result?wait=10")
        assert last.json()["result"] == 50


async def test_one_bad_job_of_many_refuses_all_and_says_which() -> None:
    async with Play().served() as http:
        jobs: list[dict[str, Any]] = [{"queue": "play", "task": "add", "args": [n]} for n in range(3)]
        jobs[1]["args"] = ["x"]
        answer = await http.post("/api/jobs", json=jobs)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"][:3] == [1, "kwargs", "a"]
        assert (await http.get("/api/jobs")).json()["items"] == []


async def test_one_job_with_all_its_choices() -> None:
    async with Play().served() as http:
        at = "2999-01-02T03:04:05+02:00"
        body = {
            "queue": "play",
            "task": "add",
            "args": [1],
            "kwargs": {"b": 2},
            "priority": -3,
            "run_at": at,
            "timeout": 2.5,
            "retries": 4,
            "key": "k",
        }
        answer = await http.post("/api/jobs", json=body)
        job = answer.json()
        assert answer.status_code == 202
        assert (job["state"], job["priority"], job["max_attempts"], job["key"]) == ("queued", -3, 5, "k")
        assert datetime.datetime.fromisoformat(job["run_at"]) == datetime.datetime.fromisoformat(at)
        assert (await http.post("/api/jobs", json=body)).status_code == 200


async def test_a_delayed_job_waits_for_its_time() -> None:
    async with Play().served() as http:
        job = (await http.post("/api/queues/play/tasks/add?delay=3600", json={"a": 1})).json()
        begun, due = (datetime.datetime.fromisoformat(job[name]) for name in ("created_at", "run_at"))
        assert (due - begun).total_seconds() == pytest.approx(3600)
        assert job["state"] == "queued"


async def test_the_list_is_paged_newest_first_without_gaps_or_repeats() -> None:
    async with Play().served() as http:
        await http.post("/api/jobs", json=[{"queue": "play", "task": "add", "args": [n]} for n in range(25)])
        await http.post("/api/jobs", json={"queue": "other", "task": "echo"})
        seen: list[int] = []
        query: dict[str, Any] = {"queue": "play", "limit": 10}
        pages = 0
        while True:
            page = (await http.get("/api/jobs", params=query)).json()
            seen += [job["args"][0] for job in page["items"]]
            pages += 1
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert seen == list(range(24, -1, -1))
        assert pages == 3


async def test_the_list_is_filtered() -> None:
    async with Play().served() as http:
        failed = (await http.post("/api/queues/play/tasks/boom?wait=10", json={"message": "needle"})).json()
        added = (await http.post("/api/queues/play/tasks/add?wait=10", json={"a": 1})).json()

        async def ids(**query: str) -> list[str]:
            answer = await http.get("/api/jobs", params=query)
            assert answer.status_code == 200, answer.text
            return [job["id"] for job in answer.json()["items"]]

        both = [added["id"], failed["id"]]
        assert await ids() == both
        assert await ids(state="failed") == [failed["id"]]
        assert await ids(task="add") == [added["id"]]
        assert await ids(text="needle") == [failed["id"]]
        assert await ids(worker="manager") == both
        assert await ids(worker="nobody") == []
        assert await ids(since=added["created_at"]) == [added["id"]]
        assert await ids(until=added["created_at"]) == [failed["id"]]
        assert await ids(text="' OR 1=1 --") == []
        assert await ids(text="%") == []


async def test_logs_and_progress_are_readable_while_a_job_runs() -> None:
    play = Play()
    async with play.served() as http:
        url = (await http.post("/api/queues/play/tasks/patient")).headers["location"]

        async def logged() -> list[Any]:
            items: list[Any] = (await http.get(f"{url}/logs")).json()["items"]
            return items

        lines = await until(logged)
        assert [line["text"] for line in lines] == ["I wait"]
        assert (await http.get(url)).json()["state"] == "running"
        play.gate.set()


async def test_logs_are_paged_by_their_numbers() -> None:
    async with Play().served() as http:
        url = (await http.post("/api/queues/play/tasks/talk?wait=10")).headers["location"]
        first = (await http.get(f"{url}/logs?limit=3")).json()
        rest = (await http.get(f"{url}/logs?limit=3&after={first['next']}")).json()
        lines = first["items"] + rest["items"]
        assert [line["text"] for line in lines] == [f"line {n}" for n in range(5)]
        assert {line["level"] for line in lines} == {"warning"}
        assert rest["next"] is None


async def test_a_running_job_is_cancelled() -> None:
    play = Play()
    async with play.served() as http:
        url = (await http.post("/api/queues/play/tasks/patient")).headers["location"]
        await until(lambda: play.manager.hub.roster.running)
        asked = await http.post(f"{url}/cancel")
        assert asked.status_code == 202
        ended = (await http.get(f"{url}/result?wait=10")).json()
        assert ended["state"] == "cancelled"
        assert (await http.post(f"{url}/cancel")).status_code == 200, "it may be asked again"


async def test_a_job_that_has_ended_is_run_again_as_a_new_one() -> None:
    play = Play()
    async with play.served() as http:
        first = (await http.post("/api/queues/play/tasks/add?wait=10", json={"a": 7})).json()
        again = await http.post(f"/api/jobs/{first['id']}/retry")
        assert again.status_code == 202
        assert again.json()["id"] != first["id"]
        result = await http.get(again.headers["location"] + "/result?wait=10")
        assert result.json()["result"] == 8
        assert play.ran == ["add 7 1", "add 7 1"]


async def test_a_live_job_is_not_run_again_nor_a_running_one_removed() -> None:
    play = Play()
    async with play.served() as http:
        url = (await http.post("/api/queues/play/tasks/patient")).headers["location"]
        await until(lambda: play.manager.hub.roster.running)
        for refused in (await http.post(f"{url}/retry"), await http.delete(url)):
            assert refused.status_code == 409
            assert refused.json()["type"] == "urn:easyjobs:conflict"
        play.gate.set()


async def test_a_job_is_removed_with_all_that_belongs_to_it() -> None:
    async with Play().served() as http:
        url = (await http.post("/api/queues/play/tasks/talk?wait=10")).headers["location"]
        gone = await http.delete(url)
        assert (gone.status_code, gone.content) == (204, b"")
        for path in ("", "/result", "/logs", "/attempts"):
            assert (await http.get(url + path)).status_code == 404
        assert (await http.delete(url)).status_code == 404


async def test_below_a_prefix_all_is_the_same() -> None:
    play = Play(prefix="/jobs/v1")
    async with play.served() as http:
        made = await http.post("/jobs/v1/api/queues/play/tasks/add?wait=10", json={"a": 1})
        assert made.json()["result"] == 2
        assert made.headers["location"].startswith("/jobs/v1/api/jobs/")
        assert (await http.get(made.headers["location"])).status_code == 200
        assert (await http.get("/jobs/v1/health/ready")).status_code == 200
        for outside in ("/api/jobs", "/jobs/v10/api/jobs", "/health/live"):
            answer = await http.get(outside)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"}), "that is the host's"


async def test_a_head_is_a_get_without_a_body() -> None:
    async with Play().served() as http:
        answer: httpx.Response = await http.head("/api/jobs")
        assert answer.status_code == 200
