"""A database as people of other libraries name it, as the URL of a store."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from easyjobs.errors import ConfigurationError


def store_url(engine: Any, schema: str) -> str:
    """The URL of the store in `engine`: a URL, also as SQLAlchemy writes it ("postgresql+pg8000://…"), or one of its
    engines. In PostgreSQL the tables are in `schema`, unless the URL names one.

    :raises ConfigurationError: it is neither.
    """
    if isinstance(engine, str):
        url = engine
    else:
        address: Any = getattr(engine, "url", None)
        if not hasattr(address, "render_as_string"):
            raise ConfigurationError(f"db_engine must be a URL or an engine of SQLAlchemy, not {type(engine).__name__}")
        url = address.render_as_string(hide_password=False)
    scheme, colon, rest = url.partition(":")
    family = scheme.partition("+")[0]
    if family not in ("postgresql", "postgres"):
        return f"{family}{colon}{rest}"
    parts = urlsplit(f"postgresql:{rest}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.setdefault("schema", schema)
    return f"postgresql://{parts.netloc}{parts.path}?{urlencode(query)}"  # also where both are empty
