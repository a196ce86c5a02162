"""The door to httpx: posts JSON to one address, which whoever runs the manager named."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import httpx

from easyjobs.errors import ConfigurationError
from easyjobs.monitors.courier import LIMIT, Undelivered

TRIES: Final = 4
PAUSE: Final = 1.0
"""Seconds before the second try; twice as long before each that follows."""

WHOLE: Final = LIMIT - 10.0
"""Seconds for all tries of one report."""

MOST_READ: Final = 65_536
"""Bytes of an answer that are read, so that its connection can be used again."""


class Poster:
    """Posts to `url`: each try within `timeout` seconds, again after a while where that may help.

    The address may be a secret: no log of ours, nor of httpx, shows more than its scheme and host. Redirects are not
    followed.

    :raises ConfigurationError: it is no URL of http or https, or a header cannot be sent.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 10.0,
        tries: int = TRIES,
        pause: float = PAUSE,
    ) -> None:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            parsed = None
        if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host or "%" in parsed.host:
            raise ConfigurationError("the address of a monitor must be a URL of http or https, with a host")
        if tries < 1 or not 0 < timeout < WHOLE or pause < 0:
            raise ConfigurationError(f"a monitor needs 1 try or more, of up to {WHOLE:g} s, and a pause of 0 or more")
        try:
            self._headers = httpx.Headers({"user-agent": "easyjobs", **(headers or {})})
        except (TypeError, ValueError, AttributeError):
            raise ConfigurationError("the headers of a monitor must be names with texts") from None
        self._url = parsed
        self._timeout = timeout
        self._tries = tries
        self._pause = pause
        self._client: httpx.AsyncClient | None = None
        self.shown = f"{parsed.scheme}://{parsed.netloc.rpartition(b'@')[2].decode('ascii')}/…"
        _hide(str(parsed), self.shown)

    async def post(self, body: bytes, key: str) -> None:
        """Post `body`, which is JSON. `key` is the same in all tries: the receiver may know a repetition by it.

        :raises Undelivered: it did not succeed; the message says why.
        """
        trouble = "nothing was tried"
        wait = self._pause
        try:
            async with asyncio.timeout(WHOLE):
                for left in reversed(range(self._tries)):
                    trouble, after = await self._try(body, key)
                    if not trouble:
                        return
                    if after is None or not left:
                        break
                    await asyncio.sleep(max(after, wait))
                    wait *= 2
        except TimeoutError:
            pass
        raise Undelivered(f"{self.shown} {trouble}")

    async def aclose(self) -> None:
        """Close the connections; the next `post` makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _try(self, body: bytes, key: str) -> tuple[str, float | None]:
        """What went wrong, "" for nothing; and after how many seconds to try again at the earliest, None for never."""
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=not _loopback(self._url.host), timeout=self._timeout)
        headers = httpx.Headers({"content-type": "application/json", "idempotency-key": key})
        headers.update(self._headers)
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                await _read(response)
        except TimeoutError:
            return f"did not answer within {self._timeout:g} s", 0.0
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            return f"cannot be reached: {type(error).__name__}", 0.0
        status = response.status_code
        if response.is_success:
            return "", None
        if status in (408, 425, 429) or status >= 500:
            return f"answered {status}", _seconds(response.headers.get("retry-after"))
        return f"answered {status}" + (", and redirects are not followed" if response.is_redirect else ""), None


async def _read(response: httpx.Response) -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > MOST_READ:
            return


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() else 0.0


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Veil(logging.Filter):
    """httpx logs each request with its whole URL: of ours only the host is left."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace them; every record passes."""
        if isinstance(record.args, tuple):
            record.args = tuple(self.shown.get(str(arg), arg) for arg in record.args)
        return True


_veil = _Veil()


def _hide(url: str, shown: str) -> None:
    _veil.shown[url] = shown
    logging.getLogger("httpx").addFilter(_veil)  # a filter that is there is not added twice
