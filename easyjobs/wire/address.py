"""Where a manager is, from what people write down."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from easyjobs.errors import ConfigurationError
from easyjobs.settings import WorkerSettings

PATH: Final = "/ws/jobs"
_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, and replaced


class Address(msgspec.Struct, frozen=True):
    """The manager's websocket. `loopback`: it is on this machine, so no proxy stands between."""

    url: str
    secure: bool
    loopback: bool


def address(manager_url: str) -> Address:
    """The address of a manager at `ws[s]://host[:port][/prefix]` or `http[s]://…`.

    `0.0.0.0` and `::`, which a server may listen on but nobody can call, mean this machine.

    :raises ConfigurationError: it is no such URL, or carries a password or a query.
    """
    try:
        parts = urlsplit(manager_url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("manager_url is not a URL; write ws://host:port or https://host/prefix") from None
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or not host:
        raise ConfigurationError("manager_url must be ws://host:port, wss://…, http://… or https://…")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigurationError(
            "manager_url must hold no credential, query or fragment; the secret has its own setting"
        )
    host = _ANY_HOST.get(host, host)
    place = f"[{host}]" if ":" in host else host
    if port is not None:
        place += f":{port}"
    return Address(f"{scheme}://{place}{parts.path.rstrip('/')}{PATH}", scheme == "wss", _is_loopback(host))


def address_of(url: str) -> Address:
    """The address whose `url` this is."""
    parts = urlsplit(url)
    return Address(url, parts.scheme == "wss", _is_loopback(parts.hostname or ""))


def manager_address(settings: WorkerSettings) -> Address:
    """The address that the settings name: `manager_url`, else `manager_host` and `manager_port`.

    :raises ConfigurationError: the URL will not do.
    """
    host = settings.manager_host
    return address(settings.manager_url or f"ws://{f'[{host}]' if ':' in host else host}:{settings.manager_port}")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
