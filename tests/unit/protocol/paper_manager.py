"""A manager of paper: it speaks frames to one side and reads what that side says."""

from __future__ import annotations

from typing import Any, TypeVar

from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import FromManager, FromPeer, Hello, Limits, Verdict, Welcome
from easyjobs.protocol.peer import Peer

M = TypeVar("M")
LIMITS = Limits()


class Conversation:
    """The other end of `side`'s connections, at a time that the test moves."""

    def __init__(self, side: Peer) -> None:
        self.side = side
        self.now = 1000.0

    def connect(self, *verdicts: Verdict, limits: Limits = LIMITS) -> Hello:
        """Open a connection, hear the greeting, welcome it."""
        hello = self.greet()
        self.orders = self.say(Welcome("session", 1, limits, list(verdicts)))
        return hello

    def greet(self) -> Hello:
        """Open a connection and hear the greeting."""
        self.side.disconnected()
        self.side.connected(self.now)
        (hello,) = self.hear()
        assert isinstance(hello, Hello)
        return hello

    def say(self, *messages: FromManager) -> list[FromManager]:
        """Tell the side something; what it has to act upon."""
        return self.side.receive(encode(messages), self.now)

    def hear(self) -> list[FromPeer]:
        """All that the side says now."""
        heard: list[FromPeer] = []
        while (frame := self.side.frame(self.now)) is not None:
            heard += decode_from_peer(frame)
        return heard

    def hear_only(self, kind: type[M]) -> M:
        """The one message that the side says now."""
        (message,) = self.hear()
        assert isinstance(message, kind)
        return message

    def wait(self, seconds: float) -> str | None:
        """Let time pass, the timer handled whenever it is due; a reason to leave, if one came."""
        end = self.now + seconds
        while (due := self.side.timer()) is not None and due <= end:
            self.now = max(self.now, due)
            if (reason := self.side.handle_timer(self.now)) is not None:
                return reason
            if self.side.timer() == due:
                break
        self.now = end
        return None


def kinds(messages: list[Any]) -> list[str]:
    """The names of what was said."""
    return [type(message).__name__ for message in messages]
