"""A database as people of other libraries name it, as the URL of a store."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from easyjobs.errors import ConfigurationError

_POSTGRES: Final = ("postgresql", "postgres")
_PLACE: Final = {
    "user": "user",
    "password": "password",
    "host": "host",
    "port": "port",
    "database": "database",
    "dbname": "database",
    "unix_sock": "socket",
}
_OURS: Final = ("schema", "pooler", "listen", "durability")
_DRIVERS: Final = (  # every driver knows these by the same name
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "passfile", "target_session_attrs"),
    *("application_name", "options", "host", "port"),
)
_KEPT: Final = frozenset((*_OURS, *_DRIVERS))
"""What stays of the options of another driver's URL."""


def store_url(engine: Any, schema: str) -> str:
    """The URL of the store in `engine`: a URL, also as SQLAlchemy writes it ("postgresql+pg8000://…"), or one of its
    engines, which are asked what they would connect to. In PostgreSQL the tables are in `schema`, unless the URL names
    one.

    :raises ConfigurationError: it is neither, or the engine does not say where its database is.
    """
    if not isinstance(engine, str):
        return _of_engine(engine, schema)
    scheme, colon, rest = engine.partition(":")
    family, plus, _ = scheme.partition("+")
    if family not in _POSTGRES:
        return f"{family}{colon}{rest}"
    try:
        parts = urlsplit(f"postgresql:{rest}")
    except ValueError:
        return f"postgresql:{rest}"  # the store says what is wrong, without the password
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if plus:
        query = _ours(query)
    query.setdefault("schema", schema)
    end = f"#{parts.fragment}" if parts.fragment else ""  # refused by the store, for a password may have been cut
    return f"postgresql://{parts.netloc}{parts.path}?{urlencode(query)}{end}"  # also where both are empty


def _ours(query: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """The options of a driver's URL that ours understands; of one that is there several times, the last."""
    last = {name: value if isinstance(value, str) else value[-1] for name, value in query.items()}
    kept = {name: value for name, value in last.items() if name in _KEPT}
    if "unix_sock" in last:
        kept["host"] = _folder_of(last["unix_sock"])
    return kept


def _folder_of(socket: str) -> str:
    """How our driver names a socket: by its folder."""
    return str(PurePosixPath(socket).parent)


def _of_engine(engine: Any, schema: str) -> str:
    engine = getattr(engine, "sync_engine", engine)
    address: Any = getattr(engine, "url", None)
    if not hasattr(address, "render_as_string"):
        raise ConfigurationError(f"db_engine must be a URL or an engine of SQLAlchemy, not {type(engine).__name__}")
    url = str(address.render_as_string(hide_password=False))
    if url.partition(":")[0].partition("+")[0] not in _POSTGRES:
        return store_url(url, schema)
    place = {_PLACE[name]: str(value) for name, value in _arguments(engine).items() if name in _PLACE and value}
    query = _ours(address.query)
    query.setdefault("schema", schema)
    if "socket" in place:
        query["host"] = _folder_of(place["socket"])
    host = place.get("host", "")
    if "/" in host or "," in host:  # a folder with a socket, or several servers
        query["host"], host = host, ""
    if "port" in place and not host:
        query["port"] = place.pop("port")
    user = quote(place.get("user", ""), safe="")
    word = ":" + quote(place["password"], safe="") if "password" in place else ""
    at = f"{user}{word}@" if user or word else ""
    port = f":{place['port']}" if "port" in place else ""
    named = f"[{host}]" if ":" in host else host
    return f"postgresql://{at}{named}{port}/{quote(place.get('database', ''), safe='')}?{urlencode(query)}"


def _arguments(engine: Any) -> dict[str, Any]:
    """What the driver of an engine is called with: by its URL, `connect_args`, and whoever changes them."""
    from sqlalchemy import event

    asking = threading.get_ident()
    found: list[dict[str, Any]] = []

    def listen(dialect: object, record: object, args: object, arguments: dict[str, Any]) -> None:
        if threading.get_ident() == asking:
            found.append(dict(arguments))
            raise _Enough

    event.listen(engine, "do_connect", listen)
    pool = engine.pool.recreate()
    try:
        pool.connect().close()
    except _Enough:
        return found[0]
    finally:
        pool.dispose()
        event.remove(engine, "do_connect", listen)
    raise ConfigurationError("an engine that is made with `creator` does not say where its database is; give its URL")


class _Enough(Exception):
    """Nobody needs the connection itself."""
