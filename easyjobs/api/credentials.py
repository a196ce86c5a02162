"""What the server signs: browser sessions, nonces for peers, cursors of pages."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

import msgspec

from easyjobs.clock import Clock
from easyjobs.errors import BadRequest
from easyjobs.ids import Ids

SESSION_LIFE: Final = 12 * 3600.0
NONCE_LIFE: Final = 60.0
MOST_SPENT: Final = 100_000


def same(given: bytes, wanted: bytes) -> bool:
    """Whether both are equal, found out in a time that tells nothing of either, its length included."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(wanted).digest())


def _sign(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"easyjobs-{purpose}:1:{text}".encode(), hashlib.sha256).hexdigest()


class Sessions:
    """Cookies that say "has logged in", with an end. They outlive a restart and die with the secret."""

    def __init__(self, secret: str, clock: Clock, ids: Ids) -> None:
        self._key = secret.encode()
        self._clock = clock
        self._ids = ids

    def make(self) -> str:
        """The value of a fresh cookie, good for SESSION_LIFE seconds."""
        body = f"{int(self._clock.wall() + SESSION_LIFE)}.{self._ids.token()}"
        return f"{body}.{_sign(self._key, 'session', body)}"

    def valid(self, cookie: str) -> bool:
        """Whether `cookie` is one of ours and its time is not over."""
        body, _, mac = cookie.rpartition(".")
        if not same(mac.encode(), _sign(self._key, "session", body).encode()):
            return False
        return self._clock.wall() < int(body.partition(".")[0])


class Nonces:
    """Challenges that this process made, each good once and for a while. Nothing is remembered of those not spent.

    Those of managers that `share` a secret are good at all of them, once at each.
    """

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        # of this process alone: what an earlier one handed out cannot be replayed here
        self._key = "".join(ids.tokens(3)).encode()
        self._now = clock.monotonic
        self._spent: dict[str, float] = {}

    def share(self, secret: str) -> None:
        """There are other managers: behind a balancer, whoever was challenged by one of us may answer another one."""
        self._key = _sign(secret.encode(), "nonces", "of all").encode()
        self._now = self._clock.wall

    def make(self, life: float) -> str:
        """A nonce that holds for `life` seconds."""
        body = f"{int((self._now() + life) * 1000):x}-{self._ids.token()}"
        return f"{body}-{_sign(self._key, 'nonce', body)}"

    def fresh(self, nonce: str) -> bool:
        """Whether `nonce` is ours, not too old, and not spent."""
        body, _, mac = nonce.rpartition("-")
        if not same(mac.encode(), _sign(self._key, "nonce", body).encode()):
            return False
        return nonce not in self._spent and self._now() < self._end(nonce)

    def spend(self, nonce: str) -> None:
        """`nonce` will not be fresh again. Only nonces with a right proof come here, so strangers cannot fill it."""
        if len(self._spent) >= MOST_SPENT:
            now = self._now()
            self._spent = {spent: end for spent, end in self._spent.items() if end > now}
        self._spent[nonce] = self._end(nonce)

    @staticmethod
    def _end(nonce: str) -> float:
        return int(nonce.partition("-")[0], 16) / 1000


class Cursors:
    """Places in a list, signed together with the filters of that list: a changed cursor is refused."""

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

    def make(self, before: int, filters: msgspec.Struct) -> str:
        """The cursor of the page that begins below `before`."""
        return base64.urlsafe_b64encode(f"{before}.{self._mac(before, filters)}".encode()).decode().rstrip("=")

    def read(self, cursor: str, filters: msgspec.Struct) -> int:
        """What `make` was given.

        :raises BadRequest: it is not ours, was changed, or belongs to another list.
        """
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            before, _, mac = base64.b64decode(padded, b"-_", validate=True).decode("ascii").partition(".")
            if (
                same(mac.encode(), self._mac(int(before), filters).encode())
                and self.make(int(before), filters) == cursor
            ):
                return int(before)
        except ValueError:
            pass
        raise BadRequest(
            "The cursor is not one of this list; take it as it was given, with the same filters.",
            errors=[{"loc": ["query", "cursor"], "message": "not a cursor of this list"}],
        )

    def _mac(self, before: int, filters: msgspec.Struct) -> str:
        return _sign(self._key, "cursor", f"{before}:{msgspec.json.encode(filters).decode()}")[:24]
