"""The manager's HTTP API for commands; the only file that knows httpx, which is imported where a manager is asked: many
commands do their work without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import quote

import msgspec

from easyjobs.errors import ConfigurationError, ConnectionLost, Refused, Unauthorized
from easyjobs.protocol.messages import Refusal
from easyjobs.wire.address import PATH, address
from easyjobs.wire.answers import refusal

PATIENCE = 30.0
"""Seconds that one answer may take."""

WHERE = "EASYJOBS_URL or --url says where it is"


class _Problem(msgspec.Struct):
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] = []


class Api:
    """The API of the manager at `url` (http[s]://host[:port][/prefix]). Use it in `with`.

    Every method raises Refused (the manager said no) or ConnectionLost (it did not answer, or is no manager).

    :param insecure: let the secret cross an open network as it is.
    :raises ConfigurationError: the URL will not do, or the secret would be readable on the way.
    """

    def __init__(self, url: str, secret: str | None, *, insecure: bool = False) -> None:
        import httpx

        where = address(url)
        if secret and not (where.secure or where.loopback or insecure):
            raise ConfigurationError(f"the secret would cross the network readable to {url}: use https, or --insecure")
        self._url = "http" + where.url.removeprefix("ws").removesuffix(PATH)
        headers = {b"Authorization": f"Bearer {secret}".encode()} if secret else {}
        # a proxy of the environment has no business between us and our own machine
        self._client = httpx.Client(headers=headers, timeout=PATIENCE, trust_env=not where.loopback)

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, *path: str, **query: object) -> Any:
        """What `GET /api/<path>` answers. Parts of the path are escaped; query values that are None are left out."""
        return self._ask("GET", path, {name: value for name, value in query.items() if value is not None})

    def text(self, *path: str, **query: str) -> str:
        """What `GET /api/<path>` answers where that is no JSON."""
        with self._lost():
            response = self._client.get(self._at(path), params=query)
        self._judge(response)
        return response.text

    def post(self, *path: str, body: object = None, key: str | None = None, **query: object) -> Any:
        """What `POST /api/<path>` answers; `body`, if there is one, goes as JSON, `key` as its Idempotency-Key; query
        values that are None are left out.
        """
        return self._ask("POST", path, {name: value for name, value in query.items() if value is not None}, body, key)

    def patch(self, *path: str, body: object) -> Any:
        """What `PATCH /api/<path>` answers."""
        return self._ask("PATCH", path, {}, body)

    def delete(self, *path: str) -> None:
        """`DELETE /api/<path>`."""
        self._ask("DELETE", path, {})

    def events(self, *path: str, **query: str | int) -> Iterator[tuple[str, Any]]:
        """The server-sent events of `GET /api/<path>`: name and data of each, until the stream ends; before all of them
        "open", when there is a stream.

        :raises ConnectionLost: it ended in the middle, or was silent for too long.
        """
        name, rest = "", ""
        with self._lost(), self._client.stream("GET", self._at(path), params=query) as response:
            if not response.is_success:
                response.read()
            self._judge(response)
            yield "open", None
            # not `iter_lines`, which would end a line at characters that JSON leaves in its strings
            for chunk in response.iter_text():
                *whole, rest = (rest + chunk).split("\n")
                for line in whole:
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        yield name, msgspec.json.decode(value)

    def _at(self, path: tuple[str, ...]) -> str:
        return "/".join((self._url, "api", *(quote(part, safe="") for part in path)))

    @contextmanager
    def _lost(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.LocalProtocolError as error:
            raise ConfigurationError(f"this cannot be asked for: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConnectionLost(
                f"no manager answers at {self._url}: {error or type(error).__name__}; {WHERE}"
            ) from None

    def _ask(
        self, method: str, path: tuple[str, ...], query: dict[str, Any], body: object = None, key: str | None = None
    ) -> Any:
        headers = {} if key is None else {b"Idempotency-Key": key.encode(errors="surrogateescape")}
        with self._lost():
            response = self._client.request(method, self._at(path), params=query, json=body, headers=headers)
        self._judge(response)
        if response.status_code == 204:
            return None
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError:
            raise self._no_manager(response.status_code) from None

    def _judge(self, response: Any) -> None:
        """Pass an answer that is no problem."""
        if response.status_code == 401:
            raise Unauthorized(
                f"the manager at {self._url} refused the secret"
                if "Authorization" in self._client.headers
                else f"the manager at {self._url} wants a secret: set EASYJOBS_SECRET or use --secret-file"
            )
        if response.is_success:
            return
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.DecodeError:
            raise self._no_manager(response.status_code) from None
        raise self._refused(problem)

    def _refused(self, problem: _Problem) -> Refused:
        news = [error for error in problem.errors if str(error.get("message")) not in problem.detail]
        errors = msgspec.Raw(msgspec.json.encode(news))
        return refusal(Refusal([], problem.status, problem.title, problem.detail, errors))

    def _no_manager(self, status: int) -> ConnectionLost:
        return ConnectionLost(f"what answers at {self._url} ({status}) is no manager, or its prefix differs; {WHERE}")
