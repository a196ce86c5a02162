"""The formats of text that are judged at the door: those that a worker makes a value of another type of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec


def _number(text: str) -> object:
    return float(text)


def _readable(kind: type[Any], *others: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether text can be read as `kind`, or by one of the others."""

    def judge(text: str) -> bool:
        for read in (lambda text: msgspec.convert(text, kind), *others):
            try:
                read(text)
            except ValueError:
                continue
            return True
        return False

    return judge


def _anything(_text: str) -> bool:
    return True


_JUDGED: Final = {
    "date": _readable(date, datetime.fromisoformat, _number),
    "date-time": _readable(datetime, datetime.fromisoformat, _number),
    "time": _readable(time, time.fromisoformat, _number),
    "uuid": _readable(UUID, UUID),
    "decimal": _readable(Decimal),
}
_LEFT: Final = (
    *("duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri", "uri-reference", "iri"),
    *("iri-reference", "uri-template", "json-pointer", "relative-json-pointer", "regex"),
)

FORMATS: Final[dict[str, Callable[[str], bool]]] = dict.fromkeys(_LEFT, _anything) | _JUDGED
"""By name in a schema. Generous, for a schema does not tell whether an annotation or a model reads the value: text is
refused that neither takes (pydantic's take seconds in text, and a moment for a day). What else the validator knows is
an annotation, as JSON Schema has it.
"""
