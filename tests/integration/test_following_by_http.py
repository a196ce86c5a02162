"""Following a job over HTTP: server-sent events on real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from serving import BEARER, Play, on_a_socket, until

from easyjobs import current_job
from easyjobs.api import events
from easyjobs.errors import StoreUnavailable
from easyjobs.hub import following

GONE = "01a1fc89-100e-7364-addd-13e540021a88"


class Event(NamedTuple):
    name: str
    id: str | None
    data: Any


async def events_of(response: httpx.Response) -> AsyncIterator[Event | str]:
    """What a stream says; comments as text."""
    name, id, data = "", None, ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if line.startswith(":"):
            yield line
        elif field == "event":
            name = value
        elif field == "id":
            id = value
        elif field == "data":
            data = value
        elif not line and name:
            yield Event(name, id, json.loads(data))
            name, id = "", None


class Stage:
    """A manager on a socket whose task `talker` says a line for each step it is allowed."""

    def __init__(self, **config: Any) -> None:
        self.play = Play()
        self.steps: asyncio.Queue[str | None] = asyncio.Queue()
        self._config = config

        @self.play.manager.task(namespace="play", retries=0)
        async def talker() -> str:
            current_job().log("begin")
            while (step := await self.steps.get()) is not None:
                if step == "boom":
                    raise ValueError("boom")
                current_job().log(step)
                current_job().progress(0.5, step)
            return "done"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[httpx.AsyncClient]:
        async with on_a_socket(self.play.app, **self._config) as where:
            timeout = httpx.Timeout(10.0)
            async with httpx.AsyncClient(base_url=f"http://{where}", headers=BEARER, timeout=timeout) as http:
                await self.play.manager.submit([])
                await until(lambda: len(self.play.manager.hub.catalog.entries) >= 6)
                yield http

    async def begin(self, http: httpx.AsyncClient) -> str:
        id: str = (await http.post("/api/queues/play/tasks/talker")).json()["id"]
        return id


async def all_of(http: httpx.AsyncClient, id: str, after: int = 0, **headers: str) -> list[Event]:
    """The events of a stream that is read to its end."""
    async with http.stream("GET", f"/api/jobs/{id}/logs?follow=1&after={after}", headers=headers) as response:
        assert response.status_code == 200
        return [event async for event in events_of(response) if isinstance(event, Event)]


def lines(heard: list[Event]) -> list[tuple[str | None, str]]:
    return [(event.id, event.data["text"]) for event in heard if event.name == "log"]


async def test_a_reader_follows_a_job_while_it_runs() -> None:
    stage = Stage()
    async with stage.open() as http:
        id = await stage.begin(http)
        async with http.stream("GET", f"/api/jobs/{id}/logs?follow=1") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            heard = events_of(response)
            first = await anext(heard)
            assert isinstance(first, Event)
            assert (first.name, first.id, first.data["n"], first.data["text"]) == ("log", "1", 1, "begin")
            for n in range(2, 5):
                await stage.steps.put(f"step {n}")
                event = await anext(heard)
                assert isinstance(event, Event)
                assert (event.name, event.id, event.data["text"]) == ("log", str(n), f"step {n}")
                assert await anext(heard) == Event("progress", None, {"value": 0.5, "note": f"step {n}"})
            await stage.steps.put("boom")
            end = await anext(heard)
            assert isinstance(end, Event)
            assert (end.name, end.id, end.data["state"], end.data["error"]["type"]) == (
                "end",
                None,
                "failed",
                "ValueError",
            )
            assert [event async for event in heard] == []


async def test_who_comes_back_with_its_cursor_misses_nothing_and_hears_nothing_twice() -> None:
    stage = Stage()
    async with stage.open() as http:
        id = await stage.begin(http)
        async with http.stream("GET", f"/api/jobs/{id}/logs?follow=1") as response:
            first = await anext(events_of(response))
        assert isinstance(first, Event)
        for step in ("two", "three", None):
            await stage.steps.put(step)
        rest = await all_of(http, id, **{"Last-Event-ID": str(first.id)})
        assert lines(rest) == [("2", "two"), ("3", "three")]
        assert rest[-1] == Event("end", None, {"id": id, "state": "completed", "error": None})
        assert lines(await all_of(http, id, after=2)) == [("3", "three")]
        again = await all_of(http, id, after=1, **{"Last-Event-ID": "2"})
        assert lines(again) == [("3", "three")], "the newer cursor counts: a browser keeps the URL"
        assert lines(await all_of(http, id)) == [("1", "begin"), ("2", "two"), ("3", "three")]


async def test_a_stream_is_refused_as_any_request_is() -> None:
    async with Stage().open() as http:
        path = f"/api/jobs/{GONE}/logs?follow=1"
        assert (await http.get(path)).status_code == 404
        assert (await http.get(path, headers={"Authorization": "Bearer no"})).status_code == 401
        id = (await http.post("/api/queues/play/tasks/talk?wait=5")).json()["id"]
        path = f"/api/jobs/{id}/logs?follow=1"
        for bad in ("x", "-1", "1" * 30):
            refused = await http.get(path, headers={"Last-Event-ID": bad})
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["loc"] == ["header", "Last-Event-ID"]
        assert (await http.get(path + "&limit=5")).status_code == 422
        head = await http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")


async def test_too_many_readers_are_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_READERS", 1)
    stage = Stage()
    async with stage.open() as http:
        id = await stage.begin(http)
        async with http.stream("GET", f"/api/jobs/{id}/logs?follow=1") as response:
            await anext(events_of(response))
            refused = await http.get(f"/api/jobs/{id}/logs?follow=1")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        await until(lambda: not stage.play.manager.hub.following._readers)
        await stage.steps.put(None)
        assert (await all_of(http, id))[-1].name == "end"


async def test_one_to_whom_nothing_is_said_hears_that_we_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "KEEP_ALIVE", 0.05)
    stage = Stage()
    async with stage.open() as http:
        id = await stage.begin(http)
        async with http.stream("GET", f"/api/jobs/{id}/logs?follow=1&after=1") as response:
            assert await anext(events_of(response)) == ": still here"
        await stage.steps.put(None)


async def test_a_server_that_stops_lets_its_readers_go_at_once_and_says_no_end() -> None:
    stage = Stage(timeout_graceful_shutdown=60)
    heard: list[Event] = []
    async with asyncio.timeout(10), stage.open() as http:
        id = await stage.begin(http)

        async def read() -> None:
            heard.extend(await all_of(http, id))

        reading = asyncio.get_running_loop().create_task(read())
        await until(lambda: len(stage.play.manager.hub.following._readers) == 1)
        stage.play.manager.hub.leaving = lambda: True
        await reading
        await stage.steps.put(None)
    assert [event.name for event in heard] == ["log"]


async def test_who_goes_without_a_word_costs_nothing_lasting() -> None:
    stage = Stage()
    async with stage.open() as http:
        id = await stage.begin(http)
        hub = stage.play.manager.hub
        ask = (
            f"GET /api/jobs/{id}/logs?follow=1 HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n\r\n"
        )
        with socket.create_connection((http.base_url.host, http.base_url.port)) as one:
            one.sendall(ask.encode())
            await until(lambda: hub.following._readers and hub.announcer._listeners)
        await until(lambda: not hub.following._readers)
        assert not hub.announcer._listeners
        await stage.steps.put(None)


async def test_who_never_reads_is_given_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(events, "PATIENCE", 0.1)
    stage = Stage()
    async with stage.open() as http:
        id = await stage.begin(http)
        await until(lambda: stage.play.manager.hub.counters["commits"])
        hub = stage.play.manager.hub
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])
            if message.get("body"):
                await asyncio.Event().wait()

        async def receive() -> Any:
            await asyncio.Event().wait()

        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/api/jobs/{id}/logs",
            "query_string": b"follow=1",
            "headers": [(b"authorization", BEARER["Authorization"].encode())],
        }
        await stage.play.app(scope, receive, send)
        assert sent == ["http.response.start", "http.response.body"]
        assert not hub.following._readers
        assert not hub.announcer._listeners
        await stage.steps.put(None)
    said = logging.makeLogRecord({"msg": "ASGI callable returned without completing response."})
    assert not logging.getLogger("uvicorn.error").filter(said), "uvicorn calls this an error of ours"
    events.gave_up.set(False)
    assert logging.getLogger("uvicorn.error").filter(said), "another's is one"


async def test_a_store_that_fails_ends_the_stream_and_who_comes_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    async with stage.open() as http:
        id = await stage.begin(http)
        store = stage.play.manager.store
        was = store.logs

        async def fails(*asked: Any) -> Any:
            raise StoreUnavailable("it does not answer")

        async with http.stream("GET", f"/api/jobs/{id}/logs?follow=1") as response:
            heard = events_of(response)
            await anext(heard)
            monkeypatch.setattr(store, "logs", fails)
            await stage.steps.put("more")
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(heard)
        monkeypatch.setattr(store, "logs", was)
        await stage.steps.put(None)
        assert lines(await all_of(http, id, after=1)) == [("2", "more")]
