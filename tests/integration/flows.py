"""A manager with a few workflows: what the tests of the API and of the command line of runs share."""

from __future__ import annotations

from typing import Any

import httpx
from serving import Play, until


class Flows(Play):
    """Workflows beside the tasks. `good` lets `shaky` succeed."""

    def __init__(self) -> None:
        super().__init__()
        self.good = False
        play = self.manager

        @play.task(namespace="play", retries=0)
        async def one(n: int = 1) -> int:
            self.ran.append("one")
            return n

        @play.task(namespace="play", retries=0)
        async def shaky(n: int) -> int:
            self.ran.append("shaky")
            if not self.good:
                raise ValueError("not yet")
            return 10 * n

        @play.task(namespace="play", retries=0)
        async def gated(n: int) -> int:
            await self.gate.wait()
            return n

        @play.workflow(
            namespace="play", title="Ten times", schedule="@yearly", concurrency=5, default_args={"args": [1]}
        )
        def tens(n: int) -> Any:
            """Shaky."""
            return shaky(one(n))

        @play.workflow(namespace="play", concurrency=None)
        def waits(n: int = 1) -> Any:
            return gated(one(n))

        @play.workflow(namespace="play", concurrency=None)
        def many() -> Any:
            return [one(n) for n in range(5)]

        for queue in ("left", "right"):

            @play.workflow(namespace=queue, name="twin")
            def twin(n: int = 1) -> Any:
                return one(n)


async def known(http: httpx.AsyncClient) -> None:
    async def names() -> bool:
        return len((await http.get("/api/workflows")).json()["items"]) == 5

    await until(names)
