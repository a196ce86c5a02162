"""What the URL of a store says."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from easyjobs.errors import ConfigurationError

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,49}\Z")
PATIENCE: Final = 5.0
LEAST_PATIENCE, MOST_PATIENCE = 1.0, 30.0
MOST_PORT: Final = 65_535
_FLAGS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Address(NamedTuple):
    """A server as its driver wants it (`dsn`), and our own options.

    `pooler`: there is a pooler between us that gives each transaction any connection, so nothing is kept in one.
    `listen`: whether to hear by LISTEN what other managers commit; never through a pooler. `any_durability`: a server
    that may forget what it acknowledged (`fsync=off`, `synchronous_commit=off`) is put up with. `patience`: seconds
    after which a server that says nothing is taken for one that failed.
    """

    dsn: str
    schema: str = "easyjobs"
    pooler: bool = False
    listen: bool = True
    any_durability: bool = False
    patience: float = PATIENCE

    @property
    def shown(self) -> str:
        """The server and schema, for people."""
        parts = urlsplit(self.dsn)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path} (schema {self.schema})"


def address_of(url: str) -> Address:
    """What `url` says: `postgresql://user:password@host:5432/database?schema=easyjobs`.

    Options of ours: `schema`, `pooler=1`, `listen=0`, `durability=any`, `patience=5`. All others are the driver's
    (`sslmode=…`).

    :raises ConfigurationError: it cannot be read so, or an option of ours has a value that it cannot have. No password
        is told.
    """
    parts = _parts(url)
    ours: dict[str, str] = {}
    theirs: list[tuple[str, str]] = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in ("schema", "pooler", "listen", "durability", "patience"):
            ours[name] = value
        else:
            theirs.append((name, value))
    schema = ours.get("schema", "easyjobs")
    if not _SCHEMA.match(schema):
        raise ConfigurationError(f"schema={schema}: write up to 50 of a-z, 0-9 and _, not beginning with a number")
    durability = ours.get("durability", "full")
    if durability not in ("full", "any"):
        raise ConfigurationError(f"durability={durability}: write full or any")
    pooler = _flag(ours, "pooler", False)
    dsn = f"postgresql://{parts.netloc}{parts.path}" + (f"?{urlencode(theirs)}" if theirs else "")
    listen = _flag(ours, "listen", not pooler) and not pooler
    return Address(dsn, schema, pooler, listen, durability == "any", _seconds(ours.get("patience", f"{PATIENCE:g}")))


def _parts(url: str) -> SplitResult:
    """The parts of `url`; refused where one of them may be a piece of a password, which would be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may have the password
        raise _unreadable("what should be hosts is none") from None
    if parts.fragment or "@" in parts.path:
        raise _unreadable("something follows its database")
    for host in parts.netloc.rpartition("@")[2].split(","):
        port = host.rpartition("]")[2].partition(":")[2]
        if port and not (port.isascii() and port.isdigit() and 0 < int(port[:9]) <= MOST_PORT):
            raise _unreadable(f"a port is a number up to {MOST_PORT}")
    return parts


def _unreadable(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The store's URL cannot be read: {why}. Write postgresql://user:password@host:port/database?option=value, and"
        " in names and passwords %2F for /, %3F for ?, %23 for #, %40 for @, %25 for %."
    )


def _seconds(written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        seconds = 0.0
    if not LEAST_PATIENCE <= seconds <= MOST_PATIENCE:
        raise ConfigurationError(f"patience={written}: write seconds, from {LEAST_PATIENCE:g} to {MOST_PATIENCE:g}")
    return seconds


def _flag(options: dict[str, str], name: str, default: bool) -> bool:
    if name not in options:
        return default
    if options[name] not in _FLAGS:
        raise ConfigurationError(f"{name}={options[name]}: write 1 or 0")
    return _FLAGS[options[name]]
