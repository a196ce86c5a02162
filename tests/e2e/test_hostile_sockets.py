"""Input from hell, through the real socket: it harms its sender and nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sockets import Stranger, dial, nonce_of, status_of, stranger_id
from support import Cluster
from websockets.exceptions import ConnectionClosed

from easyjobs.protocol.proof import authorization

TOO_SLOW, BROKEN, UNAUTHORIZED, REPLACED, TOO_LARGE = 4408, 4406, 4401, 4409, 4413


@pytest.fixture(autouse=True)
def the_others_work_on(home: Cluster) -> Iterator[None]:
    """Whatever was said, the manager and its workers are as they were."""
    workers = {w["id"] for w in home.workers() if w["queues"] == ["home"]}
    yield
    assert home.post("/api/queues/home/tasks/add", {"a": 1}, wait=60)["result"] == 2
    assert {w["id"] for w in home.workers() if w["queues"] == ["home"]} == workers
    assert home.manager is not None
    assert "Traceback" not in home.manager.said()


# -- who may come in


async def test_wrong_old_and_invented_proofs_are_refused(home: Cluster) -> None:
    nonce = await nonce_of(home)
    wrong = authorization("not the secret", nonce)
    right = authorization(home.secret, nonce)
    assert await status_of(home, {"Authorization": wrong}) == 401
    assert await status_of(home, {"Authorization": authorization(home.secret, "a-nonce-of-mine")}) == 401
    assert await status_of(home, {"Authorization": right[:-1] + ("0" if right[-1] != "0" else "1")}) == 401
    assert await status_of(home, {"Authorization": right}) == 101
    assert await status_of(home, {"Authorization": right}) == 401, "a nonce is good once"
    for nonsense in ("", "EasyJobs", "EasyJobs 1..", "Bearer", f"Basic {home.secret}", "EasyJobs " + "9" * 8000):
        assert await status_of(home, {"Authorization": nonsense}) == 401, nonsense[:40]


async def test_a_secret_in_the_url_opens_nothing(home: Cluster) -> None:
    for name in ("secret", "token", "server_secret", "access_token", "authorization"):
        assert await status_of(home, query=f"?{name}={home.secret.replace(' ', '%20')}") == 401
    assert home.http.get("/api/jobs", headers={"Authorization": ""}, params={"token": home.secret}).status_code == 401


async def test_a_page_of_another_site_is_refused(home: Cluster) -> None:
    nonce = await nonce_of(home)
    headers = {"Authorization": authorization(home.secret, nonce), "Origin": "https://evil.example"}
    assert await status_of(home, headers) == 403


async def test_a_bearer_of_the_secret_is_a_client_and_no_worker(home: Cluster) -> None:
    socket = await dial(home, {"Authorization": f"Bearer {home.secret}"})
    await socket.send(json.dumps([{"t": "hello", "protocol": 1, "role": "worker", "worker_id": "x"}]))
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert socket.close_code == UNAUTHORIZED


async def test_the_secret_crosses_no_wire_and_enters_no_log(home: Cluster) -> None:
    async with Stranger(home) as stranger:
        await stranger.hello()
    for process in home.processes:
        assert home.secret not in process.said()
        if process.running:
            assert home.secret not in Path(f"/proc/{process.pid}/cmdline").read_text()


# -- what may be said


async def test_who_says_nothing_is_shown_out_and_who_waits_is_pinged(home: Cluster) -> None:
    async with Stranger(home) as first, Stranger(home) as second, Stranger(home) as polite:
        await polite.hello("client")
        pings = 0

        async def count_pings() -> None:
            nonlocal pings
            while True:
                await polite.hear("ping")
                pings += 1

        counting = asyncio.create_task(count_pings())
        assert await asyncio.gather(first.until_closed(), second.until_closed()) == [TOO_SLOW, TOO_SLOW]
        counting.cancel()
        assert pings >= 3  # of about ten


@pytest.mark.parametrize(
    "frame",
    [
        "garbage",
        "",
        bytes(range(256)),
        b"\x00",
        "null",
        "{}",
        '[{"t": "hello"}]',
        '[{"t": "no such word"}]',
        '[{"t": "hello", "protocol": 99, "role": "worker", "worker_id": "x"}]',
        '[{"t": "hello", "protocol": 1, "role": "king", "worker_id": "x"}]',
        '[{"t": "hello", "protocol": 1, "role": "worker", "worker_id": ""}]',
        '[{"t": "heartbeat", "held": []}]',
        "[" * 200_000 + "]" * 200_000,
        '[{"t": "hello", "protocol": 1, "role": "worker", "worker_id": "\\ud800"}]',
    ],
    ids=lambda frame: repr(frame[:30]),
)
async def test_garbage_in_place_of_a_greeting(home: Cluster, frame: str | bytes) -> None:
    async with Stranger(home) as stranger:
        await stranger.socket.send(frame)
        assert await stranger.until_closed() == BROKEN


@pytest.mark.parametrize(
    "message",
    [
        {"t": "finished", "outcomes": "none"},
        {"t": "heartbeat", "held": [["x"]]},
        {"t": "submit", "jobs": 7},
        {"t": "hello", "protocol": 1, "role": "worker", "worker_id": "again"},
        {"t": "welcome"},
        {"t": "register", "tasks": [{"queue": "../..", "name": "x\0"}]},
    ],
    ids=lambda message: str(message)[:30],
)
async def test_garbage_after_the_greeting(home: Cluster, message: dict[str, object]) -> None:
    async with Stranger(home) as stranger:
        await stranger.hello()
        await stranger.say(message)
        assert await stranger.until_closed() == BROKEN


async def test_a_greeting_of_two_megabytes(home: Cluster) -> None:
    async with Stranger(home) as stranger:
        await stranger.say(
            {"t": "hello", "protocol": 1, "role": "worker", "worker_id": "x", "name": "n" * 2 * 1024 * 1024}
        )
        assert await stranger.until_closed() == TOO_LARGE


async def test_a_client_may_not_speak_as_a_worker(home: Cluster) -> None:
    async with Stranger(home) as stranger:
        await stranger.hello("client")
        await stranger.say({"t": "finished", "outcomes": []})
        assert await stranger.until_closed() == BROKEN


async def test_a_watchdog_without_a_worker_is_shown_out(home: Cluster) -> None:
    async with Stranger(home) as stranger:
        await stranger.say({"t": "hello", "protocol": 1, "role": "watchdog", "worker_id": "nobody"})
        assert await stranger.until_closed() == BROKEN


# -- what is said of others


async def test_the_outcome_of_anothers_job_changes_nothing(home: Cluster) -> None:
    gate = home.gate()
    id = home.submit("home", "hold", {"gate": str(gate)})
    mine = await asyncio.to_thread(home.until_effect, id, "began")
    async with Stranger(home) as stranger:
        await stranger.hello()
        for end in ("completed", "failed", "stopped", "returned"):
            outcome = {"job": id, "attempt": 1, "token": "0" * 24, "end": end, "result": "stolen"}
            await stranger.say({"t": "finished", "outcomes": [outcome]})
            assert (await stranger.hear("ack"))["stale"] == [id]
        held = [id, 1, "0" * 24]
        await stranger.say(
            {"t": "log", "job": id, "attempt": 1, "token": "0" * 24, "lines": [[0, "info", "stolen"]]},
            {"t": "progress", "job": id, "attempt": 1, "token": "0" * 24, "value": 1.0, "note": "stolen"},
            {"t": "started", "jobs": [held]},
            {"t": "heartbeat", "held": [held]},
        )
        unknown = {"job": "01234567-89ab-7def-8123-456789abcdef", "attempt": 1, "token": "x", "result": 1}
        await stranger.say({"t": "finished", "outcomes": [unknown]})
        await stranger.hear("ack")
    job = home.job(id)
    assert (job["state"], job["progress"], job["result"]) == ("running", None, None)
    assert {line["level"] for line in home.logs(id)} == {"stale"}
    gate.touch()
    assert home.end_of(id)["result"] == {"attempt": 1, "pid": mine.pid}
    assert home.ends(id) == ["completed"]


async def test_a_stranger_cannot_bring_anothers_attempt_along(home: Cluster) -> None:
    gate = home.gate()
    id = home.submit("home", "hold", {"gate": str(gate)})
    await asyncio.to_thread(home.until_effect, id, "began")
    async with Stranger(home) as stranger:
        welcome = await stranger.hello(
            held=[[id, 1, "0" * 24]],
            unacked=[{"job": id, "attempt": 1, "token": "1" * 24, "result": "stolen"}],
        )
        assert welcome["verdicts"] == [[id, 1, "abandon"]]
        assert (await stranger.hear("ack"))["stale"] == [id]
    gate.touch()
    assert home.end_of(id)["state"] == "completed"
    assert home.ends(id) == ["completed"]


async def test_the_newest_connection_of_a_worker_id_wins(home: Cluster) -> None:
    name = stranger_id()
    async with Stranger(home) as old, Stranger(home) as new:
        first = await old.hello(worker_id=name)
        second = await new.hello(worker_id=name)
        assert second["session"] == first["session"]
        assert second["epoch"] > first["epoch"]
        assert await old.until_closed() == REPLACED
        await new.say({"t": "goodbye"})
        assert await new.until_closed() == 1000
