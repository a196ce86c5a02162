"""A cron expression as sets of numbers, and the labels that it names on a clock that is never changed.

A label is what a clock on a wall shows, told as the seconds from 1970 to the moment when a clock in UTC shows the same.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cached_property

import msgspec

LAST = 0  # among days of the month, and as the number of a weekday in its month: the last
LONGEST = 50  # years to look ahead: no date of the calendar that ever comes back needs more than 40

_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()


class Pattern(msgspec.Struct, frozen=True, dict=True):
    """Which labels are named: those whose every part is. `core.cron` makes it; numbers are in order.

    Weekdays are 0 (Sunday) to 6. When both a date (`days` or `nearest`) and a weekday (`weekdays` or `nth`) are asked
    for, either is enough. `repeats`: its hours, minutes or seconds have a wildcard; `skips`: its hours have one.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    days: tuple[int, ...] | None = None  # None: any; LAST may be among them
    nearest: int | None = None  # the weekday from Monday to Friday that is nearest to this day of the month
    weekdays: tuple[int, ...] | None = None  # None: any, unless `nth` asks for some
    nth: tuple[tuple[int, int], ...] = ()  # (weekday, which of its month: 1 to 5 or LAST)
    years: tuple[int, ...] | None = None
    repeats: bool = False
    skips: bool = False

    def after(self, label: int) -> int | None:
        """The first label after `label` that is named; None: there is none within `LONGEST` years."""
        day, time = divmod(label, _DAY)
        at = self._time_after(time) if self._on(_date(day)) else None
        if at is None:
            found = self._day(_date(day), 1)
            if found is None:
                return None
            day, at = found.toordinal() - _EPOCH, self._moments[0] * 60 + self.seconds[0]
        return day * _DAY + at

    def before(self, label: int) -> int | None:
        """The last label before `label` that is named; None: there is none within `LONGEST` years."""
        day, time = divmod(label, _DAY)
        at = self._time_before(time) if self._on(_date(day)) else None
        if at is None:
            found = self._day(_date(day), -1)
            if found is None:
                return None
            day, at = found.toordinal() - _EPOCH, self._moments[-1] * 60 + self.seconds[-1]
        return day * _DAY + at

    @cached_property
    def _moments(self) -> Sequence[int]:
        """The minutes of a day that are named."""
        if len(self.hours) == 24 and len(self.minutes) == 60:
            return range(1440)
        return tuple(hour * 60 + minute for hour in self.hours for minute in self.minutes)

    def _time_after(self, time: int) -> int | None:
        moments, seconds = self._moments, self.seconds
        minute, second = divmod(time, 60)
        i = bisect_left(moments, minute)
        if i < len(moments) and moments[i] == minute:
            k = bisect_right(seconds, second)
            if k < len(seconds):
                return minute * 60 + seconds[k]
            i += 1
        return moments[i] * 60 + seconds[0] if i < len(moments) else None

    def _time_before(self, time: int) -> int | None:
        moments, seconds = self._moments, self.seconds
        minute, second = divmod(time, 60)
        i = bisect_right(moments, minute)
        if i and moments[i - 1] == minute:
            k = bisect_left(seconds, second)
            if k:
                return minute * 60 + seconds[k - 1]
            i -= 1
        return moments[i - 1] * 60 + seconds[-1] if i else None

    def _day(self, day: date, step: int) -> date | None:
        """The next day that is named, in the direction of `step`."""
        years = self.years or (day.year - LONGEST, day.year + LONGEST)
        end = years[-1] if step > 0 else years[0]
        while (end - day.year) * step >= 0:
            day += timedelta(days=step)
            if self.years is not None and day.year not in self.years:
                day = date(day.year, 12, 31) if step > 0 else date(day.year, 1, 1)
            elif day.month not in self.months:
                day = day.replace(day=_length(day) if step > 0 else 1)
            elif self._on(day):
                return day
        return None

    def _on(self, day: date) -> bool:
        if day.month not in self.months or (self.years is not None and day.year not in self.years):
            return False
        dated = self.days is not None or self.nearest is not None
        if self.weekdays is None and not self.nth:
            return not dated or self._dated(day)
        return self._weekday(day) or (dated and self._dated(day))

    def _dated(self, day: date) -> bool:
        if self.nearest is not None:
            return day.day == _nearest(day, self.nearest)
        days = self.days or ()
        return day.day in days or (LAST in days and day.day == _length(day))

    def _weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if self.weekdays is not None and weekday in self.weekdays:
            return True
        if not self.nth:
            return False
        last = day.day + 7 > _length(day)
        return (weekday, (day.day + 6) // 7) in self.nth or (last and (weekday, LAST) in self.nth)


def _date(day: int) -> date:
    return date.fromordinal(day + _EPOCH)


def _length(month: date) -> int:
    return calendar.monthrange(month.year, month.month)[1]


def _nearest(month: date, day: int) -> int:
    """The day from Monday to Friday nearest to `day`, in the same month."""
    last = _length(month)
    day = min(day, last)
    weekday = month.replace(day=day).isoweekday()
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 7:
        return day + 1 if day < last else day - 2
    return day
