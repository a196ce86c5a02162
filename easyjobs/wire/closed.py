"""How the end of a link is told; by itself, for those who dial without an event loop."""

from __future__ import annotations


class LinkClosed(OSError):
    """The link is gone. `code` is the websocket close code (1006 when nobody said goodbye), `reason` for people."""

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        super().__init__(f"closed with {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason
