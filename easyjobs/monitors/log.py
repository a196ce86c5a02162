"""A destination that needs nothing: the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from easyjobs.monitors.reports import HOOKS, Hook, Report, chosen
from easyjobs.monitors.telling import Telling, sentence

LEVELS: Final[dict[Hook, int]] = {
    "heartbeat_scheduler": logging.DEBUG,
    "task_retry": logging.WARNING,
    "task_failed": logging.ERROR,
    "workflow_failed": logging.ERROR,
    "alert": logging.WARNING,
}
"""Successes are INFO."""

UNTOLD: Final = tuple(hook for hook in HOOKS if hook != "alert")
"""All that is in no log otherwise."""


class LogMonitor(Telling):
    """Writes a line for each of `events` to a logger.

    :param logger: or its name; failures are errors in it, retries and alerts warnings, successes information and
        heartbeats are for debugging. Alerts, which the manager logs itself, only where `events` names them.
    :raises ConfigurationError: there is no such event.
    """

    def __init__(self, logger: logging.Logger | str = "easyjobs.monitor", events: Iterable[str] = UNTOLD) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self.events = chosen(events)

    async def tell(self, event: Hook, report: Report) -> None:
        """Write the line. The report is its record's attribute `report`."""
        level = LEVELS.get(event, logging.INFO)
        self._logger.log(level, "%s", sentence(event, report), extra={"event": event, "report": report})
