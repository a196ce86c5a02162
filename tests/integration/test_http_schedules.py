"""Schedules over HTTP: made, listed, changed, paused, run, removed."""

from __future__ import annotations

from typing import Any

import pytest
from serving import Play, until

from easyjobs.core.schedule import Rule
from easyjobs.core.task import TaskSpec

DAILY = {"queue": "play", "task": "add", "cron": "0 7 * * *", "kwargs": {"a": 1}}
FIELDS = [
    "id",
    "title",
    "queue",
    "task",
    "args",
    "kwargs",
    "cron",
    "timezone",
    "seconds",
    "start_at",
    "end_at",
    "jitter",
    "misfire",
    "overlap",
    "every_days",
    "words",
    "source",
    "paused",
    "upcoming",
    "last_at",
    "last_job",
    "held",
    "error",
    "created_at",
    "updated_at",
]


async def test_a_schedule_is_made_shown_and_removed() -> None:
    async with Play().served() as http:
        made = await http.post(
            "/api/schedules",
            json={
                **DAILY,
                "timezone": "Europe/Paris",
                "start_at": "2030-07-01T00:00:00+02:00",
                "end_at": "2030-07-03T12:00:00Z",
                "jitter": 5,
                "misfire": "none",
                "overlap": "skip",
                "every_days": 2,
                "title": "every morning",
            },
        )
        assert made.status_code == 201
        schedule = made.json()
        assert list(schedule) == FIELDS
        assert made.headers["location"] == f"/api/schedules/{schedule['id']}"
        assert schedule["upcoming"] == ["2030-07-01T05:00:00Z", "2030-07-03T05:00:00Z"]
        assert (schedule["start_at"], schedule["end_at"]) == ("2030-06-30T22:00:00Z", "2030-07-03T12:00:00Z")
        assert (schedule["args"], schedule["kwargs"], schedule["title"]) == ([], {"a": 1}, "every morning")
        assert (schedule["misfire"], schedule["overlap"], schedule["jitter"]) == ("none", "skip", 5.0)
        assert (schedule["source"], schedule["paused"], schedule["last_at"], schedule["held"]) == (
            "api",
            None,
            None,
            False,
        )
        assert (schedule["every_days"], "only on each 2nd day" in schedule["words"]) == (2, True)
        assert (await http.get(made.headers["location"])).json() == schedule
        assert (await http.get("/api/schedules")).json() == {"items": [schedule], "next": None}
        assert (await http.delete(made.headers["location"])).status_code == 204
        assert (await http.delete(made.headers["location"])).status_code == 404
        assert (await http.get("/api/schedules")).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "status", "place"),
    [
        ({"kwargs": {"a": "one"}}, 422, ["kwargs", "a"]),
        ({"kwargs": {}}, 422, ["a"]),
        ({"kwargs": [1]}, 422, ["kwargs"]),
        ({"args": {}}, 422, ["args"]),
        ({"cron": "0 25 * * *"}, 422, ["cron"]),
        ({"cron": "0 0 30 2 *"}, 422, ["cron"]),
        ({"cron": "* " * 500}, 422, ["cron"]),
        ({"timezone": "Europe/Atlantis"}, 422, ["timezone"]),
        ({"misfire": "some"}, 422, ["misfire"]),
        ({"overlap": "maybe"}, 422, ["overlap"]),
        ({"jitter": -1}, 422, ["jitter"]),
        ({"start_at": "2030-01-01T00:00:00"}, 422, ["start_at"]),
        ({"end_at": "2020-01-01T00:00:00Z"}, 422, ["end_at"]),
        ({"every": "day"}, 422, []),
        ({"task": "none"}, 404, None),
        ({"queue": "none"}, 404, None),
    ],
)
async def test_one_that_cannot_be_is_refused_with_its_place(change: dict[str, Any], status: int, place: Any) -> None:
    async with Play().served() as http:
        answer = await http.post("/api/schedules", json={**DAILY, **change})
        assert answer.status_code == status, answer.text
        if place is not None:
            loc = answer.json()["errors"][0]["loc"]
            assert loc[-len(place) or len(loc) :] == place
        assert (await http.get("/api/schedules")).json()["items"] == []


async def test_what_is_given_changes_and_the_rest_stays() -> None:
    async with Play().served() as http:
        made = (await http.post("/api/schedules", json={**DAILY, "end_at": "2040-01-01T00:00:00Z"})).json()
        url = f"/api/schedules/{made['id']}"
        changed = (await http.patch(url, json={"cron": "*/5 * * * *", "end_at": None, "overlap": "queue_one"})).json()
        assert (changed["cron"], changed["end_at"], changed["overlap"]) == ("*/5 * * * *", None, "queue_one")
        assert changed["upcoming"] != made["upcoming"]
        same = ("id", "queue", "task", "kwargs", "timezone", "title", "created_at", "misfire")
        assert {name: changed[name] for name in same} == {name: made[name] for name in same}
        again = (await http.patch(url, json={"title": "renamed", "args": [4], "kwargs": {}})).json()
        assert (again["title"], again["args"], again["cron"]) == ("renamed", [4], "*/5 * * * *")
        for wrong in ({"args": ["four"]}, {"cron": "never"}, {"queue": "other"}, {"title": None}):
            assert (await http.patch(url, json=wrong)).status_code == 422, wrong
        assert (await http.patch(url, content=b"{")).status_code == 400
        assert (await http.get(url)).json() == again


async def test_they_are_listed_a_page_at_a_time_with_filters() -> None:
    async with Play().served() as http:
        for task, kwargs in (("talk", {}), ("add", {"a": 1}), ("add", {"a": 2})):
            await http.post("/api/schedules", json={**DAILY, "task": task, "kwargs": kwargs})
        await http.post("/api/schedules", json={**DAILY, "queue": "other", "task": "echo"})
        everything = (await http.get("/api/schedules")).json()["items"]
        assert [(s["queue"], s["task"]) for s in everything] == [
            ("other", "echo"),
            ("play", "add"),
            ("play", "add"),
            ("play", "talk"),
        ]
        assert (await http.get("/api/schedules?queue=play&task=talk")).json()["items"] == everything[3:]
        first = (await http.get("/api/schedules?limit=3")).json()
        rest = (await http.get(f"/api/schedules?limit=3&cursor={first['next']}")).json()
        assert (first["items"] + rest["items"], rest["next"]) == (everything, None)
        assert (await http.get(f"/api/schedules?queue=play&cursor={first['next']}")).status_code == 400
        assert (await http.get("/api/schedules?limit=0")).status_code == 422


async def test_a_tick_makes_a_job_that_shows_where_it_comes_from() -> None:
    play = Play()
    async with play.served() as http:
        made = await http.post("/api/schedules", json={**DAILY, "cron": "* * * * * *", "seconds": True})
        id = made.json()["id"]

        async def completed() -> Any:
            return (await http.get(f"/api/jobs?schedule={id}&state=completed")).json()["items"]

        job = (await until(completed))[-1]
        assert (job["schedule"], job["result"], job["kwargs"]) == (id, 2, {"a": 1})
        assert job["tick"] is not None
        schedule = (await http.get(f"/api/schedules/{id}")).json()
        assert schedule["last_at"] >= job["tick"]
        assert schedule["last_job"] is not None


async def test_it_is_paused_run_and_resumed() -> None:
    async with Play().served() as http:
        id = (await http.post("/api/schedules", json=DAILY)).json()["id"]
        for _ in range(2):
            paused = await http.post(f"/api/schedules/{id}/pause")
            assert paused.json() == {"kind": "schedule", "name": id, "paused": True}
        assert (await http.get(f"/api/schedules/{id}")).json()["paused"]["by"] == "api@127.0.0.1"
        run = await http.post(f"/api/schedules/{id}/run")
        assert run.status_code == 202
        assert (run.json()["schedule"], run.json()["tick"]) == (id, None)
        assert (await http.get(f"{run.headers['location']}/result?wait=10")).json()["result"] == 2
        for _ in range(2):
            assert (await http.post(f"/api/schedules/{id}/resume")).json()["paused"] is False
        after = (await http.get(f"/api/schedules/{id}")).json()
        assert (after["paused"], after["last_at"], after["last_job"]) == (None, None, None)


async def test_one_from_code_is_paused_and_run_and_not_changed() -> None:
    play = Play()
    async with play.served() as http:
        hub = play.manager.hub
        known = hub.queries.task("play", "talk").spec
        declared = TaskSpec(known.queue, known.name, known.signature, known.options, schedule=Rule("0 7 * * *"))
        hub.scheduling.registered([declared])
        (schedule,) = await until(lambda: hub.schedules.page()[0])
        url = "/api/schedules/play%3Atalk"
        assert (await http.get(url)).json()["source"] == "code"
        assert schedule.row.id == "play:talk"
        for refused in (await http.patch(url, json={"title": "mine"}), await http.delete(url)):
            assert refused.status_code == 409
            assert "declared in code" in refused.json()["detail"]
        assert (await http.post(f"{url}/pause")).status_code == 200
        assert (await http.post(f"{url}/run")).status_code == 202
        assert (await http.post(f"{url}/resume")).status_code == 200


async def test_what_is_not_there_is_not_found() -> None:
    async with Play().served() as http:
        for method, path in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("POST", "/run"),
        ):
            answer = await http.request(method, f"/api/schedules/none{path}", json={})
            assert answer.status_code == 404, (method, path)


async def test_a_browser_of_another_site_cannot_change_one() -> None:
    play = Play()
    async with play.served(headers={}) as http:
        cookie = play.site._gate.sessions.make()
        answer = await http.patch(
            "/api/schedules/none",
            json={},
            headers={"Cookie": f"easyjobs_session={cookie}", "Origin": "http://evil.test"},
        )
        assert answer.status_code == 403
