"""How a child process tells the manager its outcome: one connection, one question, one answer."""

from __future__ import annotations

import threading
from typing import Final

from easyjobs.clock import Clock
from easyjobs.errors import ConfigurationError, ConnectionLost, ProtocolError, Unauthorized
from easyjobs.protocol.codec import decode_from_manager, encode
from easyjobs.protocol.messages import PROTOCOL, Ack, Held, Hello, Outcome
from easyjobs.wire.address import Address
from easyjobs.wire.closed import LinkClosed
from easyjobs.wire.dial_sync import SyncLink, dial_attempt

REACH: Final = 2.0
"""Seconds that the manager may take to be reached before the outcome is handed to the worker, which keeps it."""

ANSWER: Final = 5.0
"""Seconds that it may take to acknowledge the outcome, once it is reached."""

AGAIN: Final = 0.2
"""Seconds between two tries to reach it."""


def report(where: Address, outcome: Outcome, clock: Clock, reach: float = REACH, answer: float = ANSWER) -> bool:
    """Tell the manager an outcome; whether it was acknowledged. May be called again.

    False also where it is not sure: the worker then reports the same, and the manager takes it once.
    """
    until = clock.monotonic() + reach
    pause = threading.Event()
    while (left := until - clock.monotonic()) > 0:
        try:
            link = dial_attempt(where, Held(outcome.job, outcome.attempt, outcome.token), left)
        except (Unauthorized, ConfigurationError):
            return False
        except ConnectionLost:
            pause.wait(AGAIN)
            continue
        try:
            return _acknowledged(link, outcome, clock, clock.monotonic() + answer)
        except ProtocolError:
            return False
        except LinkClosed:
            pause.wait(AGAIN)
        finally:
            link.close()
    return False


def _acknowledged(link: SyncLink, outcome: Outcome, clock: Clock, until: float) -> bool:
    link.send(encode([Hello(PROTOCOL, "child", unacked=[outcome])]))
    while (frame := link.receive(max(0.0, until - clock.monotonic()))) is not None:
        for message in decode_from_manager(frame):
            if isinstance(message, Ack):
                return True
    return False
