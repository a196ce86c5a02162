"""The gate: the one piece of code that every request and socket of ours passes. Closed unless it says otherwise."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.types import Scope

from easyjobs.api.credentials import NONCE_LIFE, Nonces, Sessions, same
from easyjobs.clock import Clock
from easyjobs.errors import Forbidden, Unauthorized
from easyjobs.ids import Ids
from easyjobs.protocol import proof
from easyjobs.protocol.messages import Held

COOKIE: Final = "easyjobs_session"
READS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
PEERS: Final = frozenset(("worker", "watchdog", "client"))
CLIENTS: Final = frozenset(("client",))
CHILDREN: Final = frozenset(("child",))
MOST_PUNISHED: Final = 100


class Identity(msgspec.Struct, frozen=True):
    """Who passed the gate: `by` for people, `roles` for what a socket of theirs may be; `attempt`: the one that a child
    process speaks for.
    """

    by: str
    roles: frozenset[str]
    attempt: Held | None = None


PUBLIC: Final = Identity("anybody", frozenset())


async def no_children(attempt: Held) -> bool:
    """No attempt is known."""
    return False


class Gate:
    """Judges requests by their ASGI scope.

    `public` are the paths, below our prefix, that anybody may ask for, matched exactly. With `local_only` nobody from
    another machine passes at all. A wrong credential is answered `penalty` seconds late, so that guessing is slow; at
    most a hundred such answers wait at a time, the others come at once. `children` knows whether an attempt's token is
    right.
    """

    def __init__(
        self,
        secret: str,
        *,
        clock: Clock,
        ids: Ids,
        public: frozenset[str],
        local_only: bool = False,
        penalty: float = 0.25,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        children: Callable[[Held], Awaitable[bool]] = no_children,
        nonces: Nonces | None = None,
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._public = public
        self._local_only = local_only
        self._penalty = penalty
        self._sleep = sleep
        self._children = children
        self._punished = 0
        self.sessions = Sessions(secret, clock, ids)
        self.nonces = nonces or Nonces(clock, ids)

    async def admit(self, scope: Scope, path: str) -> Identity:
        """Who asks for `path` (below our prefix).

        :raises Unauthorized: no credential, or a wrong one. Forbidden: a foreign origin, or another machine while no
            secret was set.
        """
        if self._local_only and not _is_local(scope):
            raise Forbidden(
                "This manager was started without a secret and answers its own machine only. "
                "Set EASYJOBS_SECRET (or server_secret=) to open it to others."
            )
        if path in self._public:
            return PUBLIC
        headers = Headers(scope=scope)
        if scope["type"] == "websocket" and "origin" in headers:
            self.check_origin(headers)
        given = headers.getlist("authorization")
        if given:
            return await self._by_header(scope, given)
        cookie = _cookie(headers)
        if cookie is None:
            raise Unauthorized("Send `Authorization: Bearer <secret>`, or log in at /login.")
        if not self.sessions.valid(cookie):
            raise Unauthorized("The session is over; log in again at /login.")
        if scope["type"] == "websocket" or scope["method"] not in READS:
            self.check_origin(headers)
        return Identity(f"browser@{_host(scope)}", CLIENTS)

    async def check_secret(self, given: str) -> bool:
        """Whether `given` is the secret. A wrong one takes the penalty."""
        if same(given.encode("utf-8", "surrogateescape"), self._secret.encode()):
            return True
        await self._punish()
        return False

    def check_origin(self, headers: Headers) -> None:
        """Pass a request that came from one of our own pages.

        :raises Forbidden: the browser names another origin, or none.
        """
        origin = headers.get("origin", "")
        _, _, host = origin.partition("://")
        # behind a proxy that ends TLS the schemes differ; host and port are what an attacker's page cannot share
        if not host or host.lower() != headers.get("host", "").lower():
            raise Forbidden(f"The request comes from {origin or 'no origin'}, which is not this site.")

    def challenge(self) -> str:
        """A `WWW-Authenticate` header that asks a peer for a proof; it holds for a minute."""
        return proof.challenge(self.nonces.make(NONCE_LIFE))

    async def _by_header(self, scope: Scope, given: list[str]) -> Identity:
        scheme, _, rest = given[0].partition(" ")
        if len(given) == 1 and scheme.lower() == "bearer":
            # an ASGI server gives header bytes as latin-1
            if await self.check_secret(rest.strip().encode("latin-1").decode("utf-8", "surrogateescape")):
                return Identity(f"api@{_host(scope)}", CLIENTS)
            raise Unauthorized("The credential is wrong.")
        if len(given) == 1 and scope["type"] == "websocket":
            shown = proof.parse_authorization(given[0])
            if shown is not None and self.nonces.fresh(shown.nonce):
                if proof.verify(self._secret, shown):
                    self.nonces.spend(shown.nonce)
                    return Identity(f"peer@{_host(scope)}", PEERS)
                await self._punish()
            elif (attempt := proof.parse_attempt(given[0])) is not None:
                if await self._children(attempt):
                    return Identity(f"job {attempt.job}", CHILDREN, attempt)
                await self._punish()
                raise Unauthorized("The attempt is not known, or over, or its token is wrong.")
            raise Unauthorized("The proof is wrong, or its nonce is old or used.")
        raise Unauthorized("This kind of credential is not known here.")

    async def _punish(self) -> None:
        if self._punished >= MOST_PUNISHED:
            return
        self._punished += 1
        try:
            await self._sleep(self._penalty)
        finally:
            self._punished -= 1


def _cookie(headers: Headers) -> str | None:
    # not http.cookies: it gives up on the whole header for one odd cookie of another application on this host
    for line in headers.getlist("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE:
                return value
    return None


def _host(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _is_local(scope: Scope) -> bool:
    try:
        return ipaddress.ip_address(_host(scope)).is_loopback
    except ValueError:
        return False
