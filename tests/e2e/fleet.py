"""Several managers as real processes on one PostgreSQL, behind a balancer that passes TCP."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from pathlib import Path

import httpx
from support import COMMAND, SECRET, Cluster, Process, free_port, until


class Balancer:
    """Passes each connection to one of `ports`, whichever answers; in a thread of its own."""

    def __init__(self, port: int, ports: list[int]) -> None:
        self._port = port
        self._ports = ports
        self._random = random.Random(port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="balancer")
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self._random.sample(self._ports, len(self._ports)):
            try:
                there, back = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
            return
        writer.close()

    def close(self) -> None:
        """Cut all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Fleet(Cluster):
    """Managers `0` to `n - 1` on `store`; the cluster's own port is the balancer's. Use as a context manager."""

    def __init__(self, folder: Path, store: str, managers: int, **settings: str) -> None:
        super().__init__(folder, EASYJOBS_STORE=store, **settings)
        self.ports = [free_port() for _ in range(managers)]
        self.managers: list[Process | None] = [None] * managers
        self._balancer = Balancer(self.port, self.ports)
        self.direct = [
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                timeout=90.0,
                trust_env=False,
                headers={"Authorization": f"Bearer {SECRET}"},
            )
            for port in self.ports
        ]

    def __exit__(self, *error: object) -> None:
        for client in self.direct:
            client.close()
        managers = [process for process in self.managers if process is not None]
        for process in sorted(self.processes, key=lambda p: p in managers):
            process.end()
        self._balancer.close()
        super().__exit__(*error)

    def begin(self, n: int, *, wait: bool = True) -> Process:
        """Start manager `n`, or start it again."""
        command = [COMMAND, "manager", "--port", str(self.ports[n])]
        process = self.start(f"manager-{n}", command, {"EASYJOBS_SECRET": SECRET, **self.settings})
        self.managers[n] = process
        if wait:
            until(lambda: self.is_ready(n), f"manager {n} is ready")
        return process

    def is_ready(self, n: int) -> bool:
        """Whether manager `n` works."""
        process = self.managers[n]
        assert process is None or process.running, f"manager {n} ended:\n{process.said()}"
        try:
            return self.direct[n].get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self, n: int) -> None:
        """kill -9 manager `n`."""
        process = self.managers[n]
        if process is not None:
            process.kill()
        self.managers[n] = None
