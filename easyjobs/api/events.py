"""Server-sent events: an answer that goes on for as long as there is something to tell and somebody who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from easyjobs.api.requests import unprocessable
from easyjobs.api.shapes import EndOut, log_out, raw
from easyjobs.background import Nursery
from easyjobs.errors import StoreError
from easyjobs.hub.following import Beat, News, ProgressNote
from easyjobs.hub.hub import Hub

MEDIA_TYPE: Final = "text/event-stream"
HURRY_BACK: Final = 1000
"""Milliseconds after which a reader that lost us may try again."""

PATIENCE: Final = 30.0
"""Seconds that a reader may take to read what it was sent."""

gave_up: Final = ContextVar("gave_up", default=False)
"""Whether the answer that is being given was left unfinished, because nobody read it."""


class EventStream(Response):
    """What job `id` tells after line `after`, as events `log`, `progress` and `end`.

    :raises TooMany, Unavailable: as `Following.open`.
    """

    media_type = MEDIA_TYPE

    def __init__(self, hub: Hub, id: str, after: int) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._following = hub.following
        self._reader = hub.following.open()
        self._pieces: AsyncGenerator[News, None] = hub.following.news(self._reader, id, after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the job has ended, the reader left or the manager stops."""
        nursery = Nursery("events")
        nursery.spawn(self._watch(receive), "reader")
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await self._tell(send)
            await send({"type": "http.response.body", "body": b""})
        except (OSError, StoreError):
            # nobody reads (a TimeoutError is an OSError), or nothing can be read; who comes back is told
            gave_up.set(True)
        finally:
            self._following.close(self._reader)
            await nursery.close()

    async def _tell(self, send: Send) -> None:
        text = f"retry: {HURRY_BACK}\n\n".encode()
        try:
            async with aclosing(self._pieces) as pieces:
                await self._send(send, text)
                async for piece in pieces:
                    await self._send(send, as_text(piece))
        except asyncio.CancelledError:
            return  # a server that stops cancels what it is still answering when its patience is over

    async def _send(self, send: Send, text: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await send({"type": "http.response.body", "body": text, "more_body": True})

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._reader.leave()


def as_text(piece: News) -> bytes:
    """A piece of news in the format of server-sent events. `id` is the cursor."""
    if isinstance(piece, list):
        return b"".join(_event("log", log_out(line), line.n) for line in piece)
    if isinstance(piece, Beat):
        return b": still here\n\n"
    if isinstance(piece, ProgressNote):
        return _event("progress", raw(piece.text))
    return _event("end", EndOut(piece.id, piece.state, raw(piece.error)))


def last_event(request: Request) -> int:
    """The cursor that a reader who comes back gives as `Last-Event-ID`; 0 when it gives none.

    :raises Unprocessable: it is none of ours.
    """
    text = request.headers.get("last-event-id", "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise unprocessable(["header", "Last-Event-ID"], "must be the `id` of an event of this stream")
    return int(text)


def _event(name: str, data: Any, id: int | None = None) -> bytes:
    cursor = b"" if id is None else b"id: %d\n" % id
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), cursor, msgspec.json.encode(data))
