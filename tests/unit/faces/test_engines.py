"""Databases as people of other libraries name them, and as SQLAlchemy's engines do."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import URL, create_engine, event

from easyjobs.errors import ConfigurationError
from easyjobs.faces.engines import store_url

PG8000 = "postgresql+pg8000://"
WHERE = {"user": "ann", "password": "p@ss/w:rd", "host": "db", "port": 5433, "database": "my app"}


@pytest.mark.parametrize(
    ("engine", "url"),
    [
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("sqlite+pysqlite:////var/jobs.db", "sqlite:////var/jobs.db"),
        ("memory:", "memory:"),
        ("postgresql://db/app", "postgresql://db/app?schema=jm"),
        ("postgres://db/app?sslmode=require", "postgresql://db/app?sslmode=require&schema=jm"),
        ("postgresql+pg8000://", "postgresql://?schema=jm"),
        ("postgresql+asyncpg://u:p%40ss@[::1]:5433/app?schema=own", "postgresql://u:p%40ss@[::1]:5433/app?schema=own"),
        ("postgresql+psycopg://db/app?connect_timeout=3&pooler=1", "postgresql://db/app?pooler=1&schema=jm"),
        ("postgresql+psycopg://u:pa#ss@db/app", "postgresql://u:pa?schema=jm#ss@db/app"),
        ("postgresql+psycopg://u:pa[ss@db/app", "postgresql://u:pa[ss@db/app"),
        (f"{PG8000}u@/app?unix_sock=/run/pg/.s.PGSQL.5432", "postgresql://u@/app?host=%2Frun%2Fpg&schema=jm"),
    ],
)
def test_a_database_is_a_url(engine: str, url: str) -> None:
    assert store_url(engine, "jm") == url


@pytest.mark.parametrize(
    ("url", "arguments", "found"),
    [
        ("sqlite:///jobs.db", {}, "sqlite:///jobs.db"),
        (f"{PG8000}ann:secret@db/app", {}, "postgresql://ann:secret@db/app?schema=jm"),
        (f"{PG8000}ann@[::1]:5433/app", {}, "postgresql://ann@[::1]:5433/app?schema=jm"),
        (PG8000, WHERE, "postgresql://ann:p%40ss%2Fw%3Ard@db:5433/my%20app?schema=jm"),
        (
            URL.create("postgresql+pg8000", "an n", "p w", "db", 5, "my app"),
            {},
            "postgresql://an%20n:p%20w@db:5/my%20app?schema=jm",
        ),
        (
            f"{PG8000}ann@/app",
            {"unix_sock": "/run/pg/.s.PGSQL.5432"},
            "postgresql://ann@/app?schema=jm&host=%2Frun%2Fpg",
        ),
        (f"{PG8000}ann@db/app", {"database": "other"}, "postgresql://ann@db/other?schema=jm"),
    ],
)
def test_an_engine_is_asked_what_it_would_connect_to(url: Any, arguments: dict[str, Any], found: str) -> None:
    assert store_url(create_engine(url, connect_args=arguments), "jm") == found


def test_who_changes_an_engines_arguments_is_heard_and_the_engine_stays_as_it_was() -> None:
    engine = create_engine(f"{PG8000}ann@db/app")

    @event.listens_for(engine, "do_connect")
    def with_a_token(dialect: object, record: object, args: object, arguments: dict[str, Any]) -> None:
        arguments["password"] = "a token"

    assert store_url(engine, "jm").startswith("postgresql://ann:a%20token@db")
    assert store_url(engine, "jm").startswith("postgresql://ann:a%20token@db"), "asked again"


@pytest.mark.parametrize("engine", [None, 5, object()])
def test_anything_else_is_refused(engine: object) -> None:
    with pytest.raises(ConfigurationError, match="db_engine must be"):
        store_url(engine, "jm")
