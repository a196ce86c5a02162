"""Which of several servers is the one that can be written: the primary, whoever that is now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from easyjobs.errors import ConfigurationError, StoreError, StoreUnavailable
from easyjobs.stores.postgres.address import Address
from easyjobs.stores.postgres.failures import FAILURES, translated

T = TypeVar("T")


class Server(NamedTuple):
    """One of them: its name for people, and as the driver wants it."""

    name: str
    dsn: str


class Servers:
    """Tries the servers of a URL one by one, that which was right the last time first. One for all connections of a
    store: where one of them went over to another server the others follow, lest they read what an old primary has.

    The driver would try them too, but one that is silent would take all of the time.
    """

    def __init__(self, address: Address) -> None:
        self._shown = address.shown
        self._servers = servers_of(address.dsn)

    @property
    def current(self) -> str:
        """The name of the server that is tried first: that of all connections, but for those that are to be left."""
        return self._servers[0].name

    def doubt(self, name: str) -> None:
        """The server `name` does not answer: the others are tried before it."""
        if name == self.current:
            self._servers.append(self._servers.pop(0))

    async def connect(self, dial: Callable[[str], Coroutine[Any, Any, T]], seconds: float) -> T:
        """What `dial` gives for the first server that it reaches.

        :param dial: connects to the server of a DSN, and fails where that is a standby.
        :param seconds: after which there is no point in going on; each of several has a fair part of them.
        :raises StoreError: it reaches none.
        """
        if len(self._servers) == 1:
            try:
                return await dial(self._servers[0].dsn)
            except (*FAILURES, ValueError) as error:
                raise translated(error, self._shown) from error
        failures: list[StoreError] = []
        for server in list(self._servers):  # meanwhile another connection may come to know better
            try:
                async with asyncio.timeout(seconds / (len(self._servers) + 1)):
                    connection = await dial(server.dsn)
            except (*FAILURES, ValueError) as error:
                failures.append(translated(error, server.name))
            else:
                self._servers.remove(server)
                self._servers.insert(0, server)
                return connection
        raise StoreUnavailable(f"No server of {self._shown} can be written. {' '.join(map(str, failures))}")


def servers_of(dsn: str) -> list[Server]:
    """The servers that `postgresql://user@a:5432,b:5433/database` or `postgresql:///database?host=a,b` names.

    :raises ConfigurationError: not as many ports as hosts.
    """
    parts = urlsplit(dsn)
    user, at, hosts = parts.netloc.rpartition("@")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "," in hosts:
        netlocs = [(host, f"{user}{at}{host}") for host in hosts.split(",")]
        return [Server(host, urlunsplit(parts._replace(netloc=netloc))) for host, netloc in netlocs]
    named = options.pop("host", "").split(",")
    ports = options.pop("port", "").split(",")
    if len(named) == 1:
        return [Server(named[0] or hosts, dsn)]
    if len(ports) == 1:
        ports *= len(named)
    if len(ports) != len(named):
        raise ConfigurationError(f"The store's URL names {len(named)} hosts and {len(ports)} ports.")
    servers = []
    for host, port in zip(named, ports, strict=True):
        own = {**options, "host": host, **({"port": port} if port else {})}
        name = f"{host}:{port}" if port else host
        servers.append(Server(name, f"postgresql://{parts.netloc}{parts.path}?{urlencode(own)}"))
    return servers
