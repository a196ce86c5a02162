"""The client's side of the wire: all of `Peer`, a greeting of its own, and a ping where nothing else was said."""

from __future__ import annotations

from easyjobs.protocol.messages import PROTOCOL, FromPeer, Hello, Ping, Role
from easyjobs.protocol.peer import Peer


class ClientSide(Peer):
    """A client across its connections; `name` is for people. As a `child` it is let in by the token of its attempt."""

    def __init__(self, name: str = "", version: str = "", role: Role = "client") -> None:
        super().__init__()
        self._role = role
        self._name = name
        self._version = version

    def _hello(self) -> Hello:
        return Hello(PROTOCOL, self._role, name=self._name, version=self._version)

    def _beat(self) -> FromPeer:
        return Ping()

    def _spoke(self, now: float) -> None:
        self._beat_at = now

    def _gather(self) -> None:
        """Everything is in the outbox already."""
