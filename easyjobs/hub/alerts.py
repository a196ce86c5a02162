"""What somebody should look at, as long as it lasts: said once when it begins and once when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

log = logging.getLogger("easyjobs.hub")


class Alert(msgspec.Struct, frozen=True):
    """A trouble that lasts: of one `kind` with one `subject` (a task, a worker, a queue), in words, `since` when."""

    kind: str
    subject: str
    text: str
    since: float


class Alerts:
    """The alerts that this manager has raised, in memory: what still holds after a restart is found again."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open: dict[tuple[str, str], Alert] = {}
        self.told: Callable[[Alert, bool], None] = lambda alert, over: None
        """Called with each alert when it is raised, and with True when it is over; returns at once, raises nothing."""

    def open(self, kind: str, subject: str, text: str) -> None:
        """Something is wrong; logged the first time. May be said again: `since` stays, the newest text is shown."""
        before = self._open.get((kind, subject))
        since = self._now() if before is None else before.since
        alert = self._open[kind, subject] = Alert(kind, subject, text, since)
        if before is None:
            log.warning("alert %s %s: %s", kind, subject, text)
            self.told(alert, False)

    def know(self, alert: Alert) -> None:
        """Something is wrong that another manager has said already: nobody is told again. May be said again."""
        before = self._open.get((alert.kind, alert.subject))
        since = alert.since if before is None else before.since
        self._open[alert.kind, alert.subject] = msgspec.structs.replace(alert, since=since)

    def forget(self, kind: str) -> None:
        """Another manager looks after all of that kind: nobody is told that they are over."""
        for subject in self.subjects(kind):
            del self._open[kind, subject]

    def close(self, kind: str, subject: str) -> None:
        """It is over; logged. May be called when nothing was."""
        alert = self._open.pop((kind, subject), None)
        if alert is not None:
            log.info("alert %s %s is over, after %.0f s", kind, subject, self._now() - alert.since)
            self.told(alert, True)

    def subjects(self, kind: str) -> list[str]:
        """What has an open alert of that kind."""
        return [subject for other, subject in self._open if other == kind]

    def all(self) -> list[Alert]:
        """All that are open, oldest first."""
        return sorted(self._open.values(), key=lambda alert: alert.since)
