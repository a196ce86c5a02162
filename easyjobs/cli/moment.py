"""Times on a command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click

NONE: Final = "none"
"""Takes a time away, where that can be asked."""


class Moment(click.ParamType[str]):
    """A time as RFC 3339 writes it, which the API takes. Without an offset it is in UTC, without an hour it is
    midnight. Seconds since 1970 and `NONE` pass as they are.
    """

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click converts."""
        text = str(value)
        if text == NONE or text.isdecimal():
            return text
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text[:100]!r} is no time; write 2026-01-31, 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+01:00",
                param,
                ctx,
            )
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).isoformat()
