"""Which of several servers is connected to."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from easyjobs.errors import ConfigurationError, StoreUnavailable
from easyjobs.stores.postgres.address import address_of
from easyjobs.stores.postgres.dialling import Servers, servers_of


@pytest.mark.parametrize(
    ("dsn", "servers"),
    [
        ("postgresql://ann:x@a:1/jobs?sslmode=require", [("a:1", "postgresql://ann:x@a:1/jobs?sslmode=require")]),
        ("postgresql:///jobs?host=%2Frun", [("/run", "postgresql:///jobs?host=%2Frun")]),
        (
            "postgresql://ann:x@a:1,b:2/jobs?sslmode=require",
            [
                ("a:1", "postgresql://ann:x@a:1/jobs?sslmode=require"),
                ("b:2", "postgresql://ann:x@b:2/jobs?sslmode=require"),
            ],
        ),
        (
            "postgresql://ann@/jobs?host=a,b&port=1,2",
            [("a:1", "postgresql://ann@/jobs?host=a&port=1"), ("b:2", "postgresql://ann@/jobs?host=b&port=2")],
        ),
        (
            "postgresql:///jobs?host=a,b&port=5",
            [("a:5", "postgresql:///jobs?host=a&port=5"), ("b:5", "postgresql:///jobs?host=b&port=5")],
        ),
        ("postgresql:///jobs?host=a,b", [("a", "postgresql:///jobs?host=a"), ("b", "postgresql:///jobs?host=b")]),
    ],
)
def test_each_server_of_a_url(dsn: str, servers: list[tuple[str, str]]) -> None:
    assert servers_of(dsn) == servers


def test_not_as_many_ports_as_hosts() -> None:
    with pytest.raises(ConfigurationError, match="3 hosts and 2 ports"):
        servers_of("postgresql:///jobs?host=a,b,c&port=1,2")


class Machines:
    """`a`, `b` and `c`; what each does when it is dialled."""

    def __init__(self, **does: str) -> None:
        self.does = does
        self.dialled: list[str] = []
        self.servers = Servers(address_of("postgresql://a,b,c/jobs"))

    async def connect(self, seconds: float = 20.0) -> str:
        self.dialled.clear()
        return await self.servers.connect(self._dial, seconds)

    async def _dial(self, dsn: str) -> str:
        name = dsn.removeprefix("postgresql://")[0]
        self.dialled.append(name)
        match self.does[name]:
            case "away":
                raise ConnectionRefusedError("refused")
            case "standby":
                raise asyncpg.TargetServerAttributeNotMatched("none")
            case "starting":
                raise asyncpg.CannotConnectNowError("the database system is starting up")
            case "silent":
                await asyncio.Event().wait()
        return name


async def test_the_primary_is_found_and_asked_first_the_next_time() -> None:
    machines = Machines(a="standby", b="primary", c="standby")
    assert (await machines.connect(), machines.dialled) == ("b", ["a", "b"])
    assert (await machines.connect(), machines.dialled) == ("b", ["b"])


@pytest.mark.parametrize("state", ["away", "standby", "starting"])
async def test_where_the_primary_failed_another_one_is_taken(state: str) -> None:
    machines = Machines(a="primary", b="standby", c="standby")
    await machines.connect()
    machines.does |= {"a": state, "c": "primary"}
    assert (await machines.connect(), machines.dialled) == ("c", ["a", "b", "c"])


async def test_one_that_says_nothing_does_not_take_all_of_the_time() -> None:
    machines = Machines(a="silent", b="away", c="primary")
    assert await machines.connect(0.2) == "c"


async def test_one_that_fell_silent_is_tried_last_and_all_connections_follow() -> None:
    machines = Machines(a="primary", b="standby", c="primary")
    servers = machines.servers
    assert (await machines.connect(), servers.current) == ("a", "a")
    servers.doubt("b")
    assert servers.current == "a", "another one is not in doubt"
    servers.doubt("a")
    servers.doubt("a")
    assert servers.current == "b"
    assert (await machines.connect(), servers.current, machines.dialled) == ("c", "c", ["b", "c"])


async def test_where_none_can_be_written_each_says_why() -> None:
    machines = Machines(a="away", b="standby", c="starting")
    with pytest.raises(StoreUnavailable) as failure:
        await machines.connect()
    for said in ("a failed (refused)", "b is on a standby server", "c failed (the database system is starting up)"):
        assert said in str(failure.value)


async def test_a_single_server_says_why() -> None:
    async def dial(_: str) -> None:
        raise ConnectionRefusedError("refused")

    with pytest.raises(StoreUnavailable, match="refused"):
        await Servers(address_of("postgresql://a/jobs")).connect(dial, 1.0)
