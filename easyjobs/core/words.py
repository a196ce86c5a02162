"""A pattern in English."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from easyjobs.core.pattern import LAST, Pattern

MOST_TIMES = 6  # of a day, that are named one by one

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WHICH = {LAST: "last", 1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def of(pattern: Pattern) -> str | None:
    """What it names, but for its time zone: "at 09:00 on Monday to Friday"; None where that cannot be said shortly."""
    time = _time(pattern)
    if time is None:
        return None
    when, every_day = time
    days = _days(pattern)
    if not every_day and (not days or days.startswith("in ")):
        days = f"every day {days}".strip()
    year = f"in {_listed(pattern.years)}" if pattern.years is not None else ""
    return " ".join(part for part in (when, days, year) if part)


def _time(p: Pattern) -> tuple[str, bool] | None:
    """The times of a day, and whether they say already that it is any day."""
    hours = _pace(p.hours, 24)
    if p.seconds == p.minutes == (0,) and hours:
        return _every(hours, "hour"), True
    if len(p.hours) * len(p.minutes) * len(p.seconds) <= MOST_TIMES:
        seconds = len(p.seconds) > 1 or p.seconds[0] > 0
        times = [
            f"{hour:02}:{minute:02}" + (f":{second:02}" if seconds else "")
            for hour in p.hours
            for minute in p.minutes
            for second in p.seconds
        ]
        return f"at {_and(times)}", False
    if p.seconds == (0,):
        return _of_the_hours(p)
    if len(p.minutes) < 60 or len(p.hours) < 24:
        return None
    return _within(p.seconds, "second", "minute"), True


def _of_the_hours(p: Pattern) -> tuple[str, bool]:
    if len(p.hours) == 24:
        return _within(p.minutes, "minute", "hour"), True
    pace = _pace(p.minutes, 60)
    every = _every(pace, "minute") if pace else "every hour" if p.minutes == (0,) else ""
    first, last = p.hours[0], p.hours[-1]
    if every and last - first == len(p.hours) - 1:
        return f"{every} from {first:02}:00 to {last:02}:{p.minutes[-1]:02}", False
    return f"at {_numbered('minute', p.minutes)} of {_numbered('hour', p.hours)}", False


def _within(numbers: Sequence[int], unit: str, whole: str) -> str:
    pace = _pace(numbers, 60)
    return _every(pace, unit) if pace else f"at {_numbered(unit, numbers)} of every {whole}"


def _days(p: Pattern) -> str:
    months = _named(tuple(month - 1 for month in p.months), _MONTHS) if len(p.months) < 12 else ""
    dates = []
    if p.nearest is not None:
        dates.append(f"the weekday nearest the {_nth(p.nearest)}")
    elif p.days is not None:
        numbers = tuple(day for day in p.days if day != LAST)
        if numbers:
            dates.append(f"the {_listed(numbers, _nth)}")
        if LAST in p.days:
            dates.append("the last day")
    weekdays = "" if p.weekdays is None else _named(tuple(sorted((day - 1) % 7 for day in p.weekdays)), _WEEKDAYS)
    dates += [f"the {_WHICH[which]} {_WEEKDAYS[(day - 1) % 7]}" for day, which in p.nth]
    of_month = f"of {months or 'every month'}"
    if dates and weekdays:
        return f"on {_and(dates)} {of_month}, or on {weekdays}" + (f" in {months}" if months else "")
    if dates:
        return f"on {_and(dates)} {of_month}"
    if weekdays:
        return f"on {weekdays}" + (f" in {months}" if months else "")
    return f"in {months}" if months else ""


def _pace(numbers: Sequence[int], all: int) -> int:
    """How far the numbers are apart when they go from 0 round in equal steps, else 0."""
    step = all // len(numbers)
    even = len(numbers) > 1 and all % len(numbers) == 0 and tuple(numbers) == tuple(range(0, all, step))
    return step if even else 0


def _every(pace: int, unit: str) -> str:
    return f"every {unit}" if pace == 1 else f"every {pace} {unit}s"


def _numbered(unit: str, numbers: Sequence[int]) -> str:
    return f"{unit}{'s' if len(numbers) > 1 else ''} {_listed(numbers)}"


def _named(numbers: Sequence[int], names: Sequence[str]) -> str:
    return _listed(numbers, lambda number: names[number])


def _nth(day: int) -> str:
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _listed(numbers: Sequence[int], name: Callable[[int], str] = str) -> str:
    """Numbers in order, three and more that follow each other as a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts: list[str] = []
    for run in runs:
        parts += [f"{name(run[0])} to {name(run[-1])}"] if len(run) > 2 else [name(number) for number in run]
    return _and(parts)


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
