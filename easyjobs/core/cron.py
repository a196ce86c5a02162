"""When rules fire. Times are seconds since 1970 UTC; fire times are whole seconds of the years 1970 to 9890.

Expressions are croniter's: `* , - /`, names of months and days, `?`, `L` (the last day of the month; `L5`: the last
Friday), `15W` (the weekday nearest the 15th), `1#2` (the second Monday), `@daily` and its like. Where a day of the
month and a day of the week are asked for, either is enough. A field that begins with `*`, or that leaves nothing out,
is a wildcard. Clocks that are changed: `core.wallclock`.
"""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any, get_args

from croniter import croniter

from easyjobs.core import wallclock, words
from easyjobs.core.pattern import LAST, Pattern
from easyjobs.core.schedule import Misfire, Overlap, Rule
from easyjobs.errors import RegistrationError

ON_TIME = 60.0  # seconds that a tick may be late without counting as missed
FRESH = 86_400.0  # seconds after which the last missed tick is not worth running
MOST_MISSED = 100  # ticks that `all` runs
LONGEST = 512  # characters of an expression

_END = 250_000_000_000  # seconds; calendars end soon after
MOST_DAYS = 3650  # that days of a schedule may lie apart
_LOOKS = 4000  # days in a row that `every_days` leaves out, before a rule is held to name none
_FAR = 1e12  # seconds; NaN is not below it either
_FIELDS: Sequence[tuple[str, int, str]] = (
    ("seconds", 60, "0 to 59"),
    ("minutes", 60, "0 to 59"),
    ("hours", 24, "0 to 23"),
    ("days of the month", 31, "1 to 31, or L, or 15W"),
    ("months", 12, "1 to 12, or jan to dec"),
    ("days of the week", 7, "0 to 7, or sun to sat, or 1#2, or L5"),
    ("years", 130, "1970 to 2099"),
)
_SPECIAL = re.compile(r".*[^a-z0-9*/,\-#?]|[hr](/.*)?\Z", re.DOTALL)  # H and R would draw lots
_SAME_ENDS = re.compile(r"(?<!\w)(\w+)-\1(?!\w)")
_STEP = re.compile(r"/(\d+)")


def check(rule: Rule) -> None:
    """Pass a rule that can be followed.

    :raises RegistrationError: its expression, zone, or another field will not do, or it can never fire; says which,
        why, and what to write instead.
    """
    pattern = _pattern(rule.cron, rule.seconds)
    zone_of(rule.timezone)
    for name, moment in (("start_at", rule.start_at), ("end_at", rule.end_at)):
        if moment is not None and not -_FAR < moment < _FAR:
            raise RegistrationError(f"{name} must be seconds since 1970, not {moment!r}")
    if not 0 <= rule.jitter < _FAR:
        raise RegistrationError(f"jitter must be 0 or more seconds, not {rule.jitter!r}")
    if not 1 <= rule.every_days <= MOST_DAYS:
        raise RegistrationError(f"every_days must be 1 to {MOST_DAYS} days, not {rule.every_days!r}")
    for name, value, known in (("misfire", rule.misfire, Misfire), ("overlap", rule.overlap, Overlap)):
        if value not in get_args(known):
            raise RegistrationError(f"{name} must be one of {', '.join(get_args(known))}, not {value!r}")
    if pattern.after(-1) is None:
        raise RegistrationError(f"the cron expression {rule.cron!r} names a date that never comes")
    if rule.start_at is not None and rule.end_at is not None and rule.end_at < rule.start_at:
        raise RegistrationError("the end of the schedule lies before its start")
    if next_after(rule, -1.0) is None:
        raise RegistrationError(f"the cron expression {rule.cron!r} names no time from the schedule's start to its end")


def zone_of(name: str) -> tzinfo:
    """The time zone of that name, "Europe/Berlin" or "UTC".

    :raises RegistrationError: there is none, or it is whatever this machine has.
    """
    # some machines have these: their own zone, and clocks that count leap seconds
    if name != "localtime" and not name.startswith(("right/", "posix/")):
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise RegistrationError(
        f"there is no time zone {name[:100]!r}; give a name as 'Europe/Berlin', 'America/New_York' or 'UTC'"
    )


def next_after(rule: Rule, after: float) -> float | None:
    """The first time after `after` at which it fires, in its bounds; None: it never fires again.

    :raises RegistrationError: as `check` does of the expression and the zone.
    """
    instant = math.floor(max(after, -1.0))
    if rule.start_at is not None:
        instant = max(instant, math.ceil(rule.start_at) - 1)
    if instant > _END:
        return None
    pattern, zone = _pattern(rule.cron, rule.seconds), _zone(rule.timezone)
    for _ in range(_LOOKS):
        found = wallclock.following(pattern, zone, instant)
        past = 0 if found is None else _days_past(rule, found)
        if not past or found is None:
            break
        instant = _midnight(rule, found, rule.every_days - past) - 1
    else:
        return None
    if found is None or (rule.end_at is not None and found > rule.end_at):
        return None
    return float(found)


def upcoming(rule: Rule, after: float, count: int) -> list[float]:
    """The first `count` times after `after` at which it fires; fewer when it ends before. Raises as `next_after`."""
    found: list[float] = []
    at = next_after(rule, after)
    while at is not None and len(found) < count:
        found.append(at)
        at = next_after(rule, at)
    return found


def missed(rule: Rule, last: float, now: float, limit: int) -> list[float]:
    """The latest `limit` times after `last`, and not after `now`, at which it fires, oldest first.

    It goes back from `now`, so that it takes no longer when years were missed. Raises as `next_after`.
    """
    pattern, zone = _pattern(rule.cron, rule.seconds), _zone(rule.timezone)
    first = math.floor(max(last, -1.0)) + 1
    if rule.start_at is not None:
        first = max(first, math.ceil(rule.start_at))
    instant: int | None = math.floor(min(now, _END if rule.end_at is None else rule.end_at, _END))
    found: list[float] = []
    while len(found) < limit:
        instant = wallclock.preceding(pattern, zone, instant) if instant is not None and instant >= first else None
        if instant is None or instant < first:
            break
        past = _days_past(rule, instant)
        if not past:
            found.append(float(instant))
        instant = _midnight(rule, instant, 1 - past) - 1 if past else instant - 1
    return found[::-1]


def due(rule: Rule, last: float, now: float) -> tuple[list[float], float | None]:
    """The ticks after `last` that are to run at `now`, oldest first; and the first after `now`.

    Those that are at most `ON_TIME` late run. Of those before, which were missed, run as `rule.misfire` says: the
    `last` one if it is less than `FRESH` old, `none`, or of `all` the latest `MOST_MISSED`. Raises as `next_after`.
    """
    edge = max(last, math.ceil(now - ON_TIME) - 1.0)
    late: list[float] = []
    if rule.misfire == "all":
        late = missed(rule, last, edge, MOST_MISSED)
    elif rule.misfire == "last":
        late = missed(rule, max(last, now - FRESH), edge, 1)
    return late + missed(rule, edge, now, math.ceil(ON_TIME) + 1), next_after(rule, now)


def in_words(rule: Rule) -> str:
    """The rule in English: "every 5 minutes", "at 02:30 every day, Europe/Berlin". Raises as `next_after`."""
    said = words.of(_pattern(rule.cron, rule.seconds)) or f"by the rule {rule.cron!r}"
    if rule.every_days > 1:
        said = f"{said}, only on each {_ordinal(rule.every_days)} day"
    return said if rule.timezone == "UTC" else f"{said}, {rule.timezone}"


def _days_past(rule: Rule, instant: float) -> int:
    """How many days it is since one that `every_days` leaves in; 0: that is today."""
    if rule.every_days == 1:
        return 0
    return (_day(rule, instant) - _day(rule, rule.start_at or 0.0)) % rule.every_days


def _day(rule: Rule, instant: float) -> int:
    zone = None if instant == 0.0 else _zone(rule.timezone)
    return datetime.fromtimestamp(instant, zone or UTC).toordinal()


def _midnight(rule: Rule, instant: int, days: int) -> int:
    """When the day begins that is so many days after that of `instant`."""
    zone = _zone(rule.timezone) or UTC
    day = datetime.fromtimestamp(instant, zone).replace(tzinfo=None) + timedelta(days=days)
    return math.floor(datetime.combine(day.date(), time.min, zone).timestamp())


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo | None:
    return None if name == "UTC" else zone_of(name)


@lru_cache(maxsize=1024)
def _pattern(cron: str, seconds: bool) -> Pattern:
    """What an expression says. Raises RegistrationError."""
    if len(cron) > LONGEST:
        raise RegistrationError(f"a cron expression has at most {LONGEST} characters, not {len(cron)}")
    said = f"the cron expression {cron!r}"
    text = cron.lower().split()
    if len(text) == 1 and text[0].startswith("@"):
        try:
            text = croniter(text[0], 0.0).expressions[:]
        except ValueError:
            raise RegistrationError(
                f"{said} is not known; there are @hourly, @daily, @weekly, @monthly and @yearly"
            ) from None
        seconds = False
    if len(text) not in ((6, 7) if seconds else (5,)):
        six = "; with a field for seconds before them, set seconds=True" if len(text) == 6 and not seconds else ""
        wanted = "6 fields: second, " if seconds else "5 fields: "
        raise RegistrationError(
            f"{said} needs {wanted}minute, hour, day of month, month, day of week; it has {len(text)}{six}"
        )
    names = _FIELDS if seconds else _FIELDS[1:]
    for i, (part, (name, size, values)) in enumerate(zip(text, names, strict=False)):
        its = f"{said}: its {name} {part!r}"
        _check_field(part, its, size)
        if _SPECIAL.match(part) or _read([*"*" * i, part, *"*" * (len(text) - i - 1)], seconds) is None:
            raise RegistrationError(f"{its} mean nothing; give numbers ({values}), as *, */5, 1-4 or 1,3")
    read = _read(text, seconds)
    if read is None or (read.nth_weekday_of_month and "*" in read.expanded[4]):
        raise RegistrationError(f"{said}: its days of the week mix some of a month (1#2, L5) with those of each week")
    return _made(read, text if seconds else ["0", *text])


def _check_field(part: str, its: str, size: int) -> None:
    """What means something else to croniter than to its author."""
    same = _SAME_ENDS.search(part)
    if same is not None:
        raise RegistrationError(f"{its} have a range that ends where it begins; write {same[1]}, or * for all")
    if any(int(step) > size for step in _STEP.findall(part)):
        raise RegistrationError(f"{its} have a step of more than {size}, which is all there are")


def _read(text: Sequence[str], seconds: bool) -> Any:
    """What croniter makes of the fields; None where it makes nothing of them."""
    try:
        return croniter(" ".join(text), 0.0, second_at_beginning=seconds)
    except ValueError:
        return None


def _made(read: Any, text: Sequence[str]) -> Pattern:
    """`text` begins with the seconds."""
    minutes, hours, days, months, weekdays, *more = read.expanded
    seconds = more[0] if more else [0]
    named = {weekday: {LAST if n == "l" else n for n in which} for weekday, which in read.nth_weekday_of_month.items()}
    plain = [weekday for weekday in weekdays if weekday not in named]
    return Pattern(
        seconds=_numbers(seconds, range(60)),
        minutes=_numbers(minutes, range(60)),
        hours=_numbers(hours, range(24)),
        months=_numbers(months, range(1, 13)),
        days=None if "*" in days or read.nearest_weekday else _numbers(days, ()),
        nearest=min(read.nearest_weekday, default=None),
        weekdays=None if "*" in plain or not plain else _numbers(plain, ()),
        nth=tuple(sorted((weekday, n) for weekday, which in named.items() for n in which)),
        years=_numbers(more[1], range(1970, 2100)) if len(more) > 1 and "*" not in more[1] else None,
        repeats=any(part.startswith("*") for part in text[:3])
        or any("*" in field for field in (seconds, minutes, hours)),
        skips=text[2].startswith("*") or "*" in hours,
    )


def _numbers(field: Sequence[Any], all: Sequence[int]) -> tuple[int, ...]:
    return tuple(all) if "*" in field else tuple(sorted(LAST if n == "l" else n for n in field))
