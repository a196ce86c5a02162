"""What the credential of a child process opens: its own attempt, while that is there, and nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from msgspec import Raw
from serving import BEARER, Play, on_a_socket, until
from test_gate import PUBLIC, closed, dial, our_routes, refusal

from easyjobs.protocol.codec import encode
from easyjobs.protocol.messages import (
    Await,
    CancelJobs,
    Finished,
    FromPeer,
    Held,
    Hello,
    Log,
    Outcome,
    Progress,
    Register,
    Submission,
    Submit,
)
from easyjobs.protocol.proof import attempt_authorization

MADE = "019a0000-0000-7000-8000-0000000000aa"


class Scene:
    """A manager on a real socket with a job that runs until `play.gate` is set, and the credential of its attempt."""

    def __init__(self, play: Play, where: str, http: httpx.AsyncClient, held: Held) -> None:
        self.play = play
        self.where = where
        self.http = http
        self.held = held
        self.credential = attempt_authorization(held)

    async def job(self) -> Any:
        return (await self.http.get(f"/api/jobs/{self.held.job}")).json()

    async def end(self) -> None:
        """Let the job end."""
        self.play.gate.set()

        async def ended() -> bool:
            return bool((await self.job())["state"] == "completed")

        await until(ended)

    async def says(self, *messages: FromPeer) -> list[Any]:
        """What a child with this credential hears when it says something: until it is answered, or sent away."""
        async with dial(self.where, authorization=self.credential) as socket:
            await socket.send(encode([Hello(1, "child")]))
            (welcome,) = json.loads(await socket.recv())
            assert welcome["t"] == "welcome"
            await socket.send(encode(list(messages)))
            return list(json.loads(await socket.recv()))

    async def sent_away(self, *messages: FromPeer) -> int | None:
        """The code with which it is sent away when it says something."""
        async with dial(self.where, authorization=self.credential) as socket:
            await socket.send(encode([Hello(1, "child")]))
            await socket.recv()
            await socket.send(encode(list(messages)))
            return await closed(socket)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    play = Play()
    async with (
        on_a_socket(play.app) as where,
        httpx.AsyncClient(base_url=f"http://{where}", headers=BEARER) as http,
    ):
        await until(lambda: len(play.manager.hub.catalog.entries) >= 5)
        id = (await http.post("/api/queues/play/tasks/patient")).json()["id"]
        row = await until(lambda: play.manager.hub.roster.running.get(id))
        yield Scene(play, where, http, Held(id, row.attempt, row.token))
        play.gate.set()


async def test_it_opens_no_route() -> None:
    async with scene() as s:

        async def at_once(_: float) -> None:
            return

        s.play.site._gate._sleep = at_once
        walked = 0
        routes = {
            *our_routes(s.play.app),
            ("GET", f"/api/jobs/{s.held.job}"),
            ("POST", f"/api/jobs/{s.held.job}/cancel"),
        }
        async with httpx.AsyncClient(base_url=f"http://{s.where}") as stranger:
            for method, path in sorted(routes):
                if path not in PUBLIC:
                    for shown in (
                        s.credential,
                        f"Bearer {s.held.token}",
                        s.credential.replace("EasyJobs-Attempt", "Bearer"),
                    ):
                        answer = await stranger.request(method, path, headers={"Authorization": shown})
                        assert answer.status_code == 401, (method, path)
                    walked += 1
        assert walked > 20
        assert (await s.job())["state"] == "running"


async def test_a_credential_that_is_not_quite_it_opens_no_socket() -> None:
    async with scene() as s:
        job, attempt, token = s.held.job, s.held.attempt, s.held.token
        other = (await s.http.post("/api/queues/play/tasks/patient")).json()["id"]
        for wrong in (
            Held(job, attempt, token[:-1] + ("0" if token[-1] != "0" else "1")),
            Held(job, attempt, token.upper() + "x"),
            Held(job, attempt + 1, token),
            Held(job, 0, token),
            Held(other, 1, token),
            Held(MADE, 1, token),
        ):
            answer = await refusal(dial(s.where, authorization=attempt_authorization(wrong)))
            assert answer.status_code == 401, wrong
        for odd in (
            f"EasyJobs-Attempt {job}.{attempt}.",
            f"EasyJobs-Attempt {job}.{attempt}",
            "EasyJobs-Attempt ..",
            "",
        ):
            assert (await refusal(dial(s.where, authorization=odd))).status_code == 401, odd


@pytest.mark.parametrize("role", ["client", "worker", "watchdog"])
async def test_whoever_shows_it_can_be_a_child_only(role: Any) -> None:
    async with scene() as s, dial(s.where, authorization=s.credential) as socket:
        await socket.send(encode([Hello(1, role, worker_id="mine", slots=100)]))
        assert await closed(socket) == 4401


async def test_a_browser_on_another_page_cannot_use_it() -> None:
    async with scene() as s:
        answer = await refusal(dial(s.where, authorization=s.credential, origin="http://evil.test"))
        assert answer.status_code == 403


async def test_it_takes_no_work_and_speaks_of_no_other_job() -> None:
    async with scene() as s:
        other = (await s.http.post("/api/queues/play/tasks/patient")).json()["id"]
        row = await until(lambda: s.play.manager.hub.roster.running.get(other))
        for message in (
            Register([]),
            Progress(other, 1, s.held.token, 1.0),
            Log(other, 1, s.held.token, [(1.0, "info", "forged")], first=1),
            Finished([Outcome(other, 1, s.held.token)]),
            Finished([Outcome(other, 1, row.token)]),
            Submit([Submission(MADE, "play", "add", parent=other)]),
        ):
            assert await s.sent_away(message) == 4406, message
        (refused,) = await s.says(Await([other]))
        assert (refused["t"], refused["status"]) == ("refused", 404)
        (refused,) = await s.says(CancelJobs([other, s.held.job]), Await([other]))
        assert refused["status"] == 404
        jobs = (await s.http.get("/api/jobs", params={"task": "patient"})).json()["items"]
        assert [(job["state"], job["progress"]) for job in jobs] == [("running", None)] * 2


async def test_after_its_attempt_it_changes_and_learns_nothing() -> None:
    async with scene() as s:
        await s.end()
        before = await s.job()
        held = s.held
        # who comes back for a lost answer is let in, and gets that answer
        (answer,) = await s.says(Finished([Outcome(held.job, held.attempt, held.token, result=Raw(b'"forged"'))]))
        assert (answer["t"], answer["duplicate"]) == ("ack", [held.job])
        for message in (Submit([Submission(MADE, "play", "add")]), Await([held.job]), CancelJobs([held.job])):
            assert await s.sent_away(message) == 4401, message
        await s.says(
            Progress(held.job, held.attempt, held.token, 0.1),
            Log(held.job, held.attempt, held.token, [(1.0, "info", "late")], first=1),
            Finished([Outcome(held.job, held.attempt, held.token)]),
        )
        assert await s.job() == before
        lines = (await s.http.get(f"/api/jobs/{held.job}/logs")).json()["items"]
        assert [line["text"] for line in lines] == ["I wait"]
        assert (await s.http.get(f"/api/jobs/{MADE}")).status_code == 404


async def test_a_word_that_is_said_twice_counts_once() -> None:
    async with scene() as s:
        word = Finished([Outcome(s.held.job, s.held.attempt, s.held.token, result=Raw(b'"the first"'))])
        (first,) = await s.says(word)
        (again,) = await s.says(
            Finished([Outcome(s.held.job, s.held.attempt, s.held.token, result=Raw(b'"the second"'))])
        )
        assert (first["applied"], again["duplicate"]) == ([s.held.job], [s.held.job])
        assert (await s.job())["result"] == "the first"
        made = await s.http.get(f"/api/jobs/{s.held.job}/attempts")
        assert [attempt["end"] for attempt in made.json()["items"]] == ["completed"]
