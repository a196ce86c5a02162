"""Databases as people of other libraries name them."""

from __future__ import annotations

from typing import Any

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.faces.engines import store_url


class Url:
    def render_as_string(self, *, hide_password: bool) -> str:
        return f"postgresql+pg8000://ann:{'***' if hide_password else 'secret'}@db/app"


class Engine:
    url = Url()


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
        (Engine(), "postgresql://ann:secret@db/app?schema=jm"),
    ],
)
def test_a_database_is_a_url_or_an_engine(engine: Any, url: str) -> None:
    assert store_url(engine, "jm") == url


@pytest.mark.parametrize("engine", [None, 5, object()])
def test_anything_else_is_refused(engine: object) -> None:
    with pytest.raises(ConfigurationError, match="db_engine must be"):
        store_url(engine, "jm")
