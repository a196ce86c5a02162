"""Destinations that are told over HTTP: anybody's webhook, and one in the manner of Slack."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from easyjobs.monitors.http import PAUSE, TRIES, Poster
from easyjobs.monitors.reports import Hook, JobReport, Report, chosen
from easyjobs.monitors.telling import Telling, sentence

NEWS: Final[tuple[Hook, ...]] = ("task_retry", "task_failed", "workflow_failed", "workflow_success", "alert")
"""What a webhook is told unless it is said: not each success, of which there may be thousands a second."""

TROUBLE: Final[tuple[Hook, ...]] = ("task_failed", "workflow_failed", "alert")
"""What people are told unless it is said."""

LONGEST: Final = 3_000
"""Characters of a message to people."""

LATEST: Final = 253_402_300_799.0  # the end of the year 9999, as far as dates go

_TIMES: Final = frozenset(("at", "since", "tick", "created_at", "run_at", "started_at", "finished_at"))


class _Http(Telling):
    def __init__(self, url: str, headers: Mapping[str, str] | None, events: Iterable[str], **how: Any) -> None:
        self.events = chosen(events)
        self._poster = Poster(url, headers, **how)
        self.shown = f"{type(self).__name__}({self._poster.shown})"

    def __repr__(self) -> str:
        return self.shown

    async def tell(self, event: Hook, report: Report) -> None:
        """Post it. Raises Undelivered."""
        body = msgspec.json.encode(self.payload(event, report))
        await self._poster.post(body, _key(event, report, body))

    def payload(self, event: Hook, report: Report) -> dict[str, Any]:
        """What is posted, as JSON."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close the connections."""
        await self._poster.aclose()


class WebhookMonitor(_Http):
    """Posts each of `events` to `url` as a JSON object: `event`, and the fields of the report, times as the HTTP API
    writes them.

    An answer of 2xx is a success. After 408, 425, 429, 5xx, no answer within `timeout` seconds or no connection it is
    tried again, `tries` times in all, with `pause` seconds before the second and twice as long before each other;
    the header `Idempotency-Key` is the same in all of them. Redirects are not followed.

    :param headers: sent with each request, for instance `{"Authorization": "Bearer …"}`.
    :raises ConfigurationError: the URL is not one of http or https, or there is no such event.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        events: Iterable[str] = NEWS,
        *,
        timeout: float = 10.0,
        tries: int = TRIES,
        pause: float = PAUSE,
    ) -> None:
        super().__init__(url, headers, events, timeout=timeout, tries=tries, pause=pause)

    def payload(self, event: Hook, report: Report) -> dict[str, Any]:
        """What is posted, as JSON."""
        fields = msgspec.structs.asdict(report)
        told = {name: _time(value) if name in _TIMES and value is not None else value for name, value in fields.items()}
        return {"event": event, **told}


class SlackMonitor(_Http):
    """Posts a line for each of `events` to an incoming webhook of Slack, or of what takes the same (`{"text": …}`).

    :param channel: where it goes, if the webhook leaves that open. All others: as `WebhookMonitor`.
    :raises ConfigurationError: as `WebhookMonitor`.
    """

    def __init__(
        self,
        webhook_url: str,
        channel: str | None = None,
        events: Iterable[str] = TROUBLE,
        *,
        timeout: float = 10.0,
        tries: int = TRIES,
        pause: float = PAUSE,
    ) -> None:
        super().__init__(webhook_url, None, events, timeout=timeout, tries=tries, pause=pause)
        self._channel = channel

    def payload(self, event: Hook, report: Report) -> dict[str, Any]:
        """What is posted, as JSON. Nothing in it can be a link or call for anybody: it is shown as it was written."""
        text = sentence(event, report)
        if len(text) > LONGEST:
            text = text[: LONGEST - 1] + "…"
        shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {"text": shown} if self._channel is None else {"text": shown, "channel": self._channel}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(max(seconds, 0.0), LATEST), UTC)


def _key(event: Hook, report: Report, body: bytes) -> str:
    if isinstance(report, JobReport):
        return f"{report.id}.{report.attempt}.{event}"
    return hashlib.blake2b(body, digest_size=16).hexdigest()
