"""Pictures of workflows and runs over HTTP and in the terminal."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import httpx
from serving import Play

from easyjobs import map
from easyjobs.core.picture import LOOKS


def drawing() -> Play:
    play = Play()

    @play.manager.task(namespace="play")
    async def numbers(many: int) -> list[int]:
        return list(range(many))

    @play.manager.task(namespace="play", retries=0)
    async def half(number: int) -> int:
        if number % 2:
            raise ValueError("odd")
        return number // 2

    @play.manager.workflow(namespace="play", title="Half of <each>")
    def halves(many: int) -> Any:
        return map(half, numbers(many))

    return play


async def known(http: httpx.AsyncClient) -> None:
    while (await http.get("/api/workflows/halves")).status_code == 404:
        pass


async def test_a_workflow_is_drawn() -> None:
    async with drawing().served() as http:
        await known(http)
        svg = await http.get("/api/workflows/halves/picture")
        assert svg.headers["content-type"].startswith("image/svg+xml")
        assert ElementTree.fromstring(svg.text).get("aria-label") == "Half of <each>"
        text = await http.get("/api/workflows/play:halves/picture?format=text")
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        assert text.text == "1 ── numbers\n2 ── half     ⇉ numbers\n"
        assert (await http.get("/api/workflows/nope/picture")).status_code == 404
        assert (await http.get("/api/workflows/halves/picture?format=png")).status_code == 422


async def test_a_run_is_drawn_with_the_states_of_its_tasks() -> None:
    async with drawing().served() as http:
        await known(http)
        run = (await http.post("/api/workflows/halves/runs?wait=10", json={"many": 2})).json()
        assert run["state"] == "failed"
        text = await http.get(f"/api/runs/{run['id']}/picture?format=text")
        assert text.text == "1 ── ✓ numbers\n2 ── ✗ half     ⇉ numbers\n✓ completed  ✗ failed\n"
        svg = await http.get(f"/api/runs/{run['id']}/picture")
        assert LOOKS["failed"].fill in svg.text
        assert ElementTree.fromstring(svg.text).get("aria-label") == "halves: failed"
        (first, _) = (await http.get(f"/api/runs/{run['id']}/tasks")).json()["items"]
        assert (await http.delete(f"/api/jobs/{first['job']}")).status_code == 204
        text = await http.get(f"/api/runs/{run['id']}/picture?format=text")
        assert text.text == "1 ── ∅ numbers\n2 ── ✗ half     ⇉ numbers\n✗ failed  ∅ removed\n"
        job = (await http.post("/api/queues/play/tasks/add", json={"a": 1})).json()
        assert (await http.get(f"/api/runs/{job['id']}/picture")).status_code == 404
        assert (await http.get("/api/runs/x/picture")).status_code == 404
