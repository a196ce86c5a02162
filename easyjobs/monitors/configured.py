"""The destinations of a process: those that its author gave, and those that its settings name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easyjobs.settings import WITHHELD, ManagerSettings


def destinations(given: Sequence[Any], settings: ManagerSettings) -> list[Any]:
    """All of them.

    :raises ConfigurationError: a URL in the settings will not do.
    """
    found = list(given)
    webhook, slack = _named(settings.webhook_url), _named(settings.slack_webhook)
    if webhook is not None or slack is not None:
        # whoever names none need not wait for httpx to load, which takes a tenth of a second
        from easyjobs.monitors.webhook import SlackMonitor, WebhookMonitor

        if webhook is not None:
            found.append(WebhookMonitor(webhook))
        if slack is not None:
            found.append(SlackMonitor(slack))
    return found


def _named(url: str | None) -> str | None:
    return None if url == WITHHELD else url
