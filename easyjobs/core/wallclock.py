"""Patterns on the clocks of a time zone, which are put forward and back.

A label that the clocks pass over is named once, at the end of the gap, unless the pattern skips it: what has a wildcard
for hours follows the clocks. A label that they show twice is named at the first time, and at the second only if the
pattern repeats. Instants are whole seconds since 1970 UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from easyjobs.core.pattern import Pattern

_SECOND = timedelta(seconds=1)


def following(pattern: Pattern, zone: tzinfo | None, instant: int) -> int | None:
    """The first instant after `instant` that is named, in `zone` (None: UTC); None: there is none."""
    if zone is None:
        return pattern.after(instant)
    label = instant + _offset(zone, instant)
    found = [_onward(pattern, zone, label, instant)]
    first, second = _offsets(zone, label)
    if first > second and instant == label - first:
        # the clocks will be put back, and show labels from before this one once more
        turn = _turn(zone, label - first, label - second)
        found.append(_onward(pattern, zone, turn + second - 1, turn - 1))
    return min((instant for instant in found if instant is not None), default=None)


def preceding(pattern: Pattern, zone: tzinfo | None, instant: int) -> int | None:
    """The last instant that is named and not after `instant`, in `zone` (None: UTC); None: there is none."""
    if zone is None:
        return pattern.before(instant + 1)
    label = instant + _offset(zone, instant)
    found = [_backward(pattern, zone, label + 1, instant)]
    first, second = _offsets(zone, label)
    if first > second and instant == label - second:
        # the clocks were put back: they had shown labels from after this one already
        turn = _turn(zone, label - first, label - second)
        found.append(_backward(pattern, zone, turn + first, turn - 1))
    return max((instant for instant in found if instant is not None), default=None)


def _onward(pattern: Pattern, zone: tzinfo, label: int, floor: int) -> int | None:
    """The first instant after `floor` of a label after `label`."""
    found = pattern.after(label)
    while found is not None:
        for instant in _instants(pattern, zone, found):
            if instant > floor:
                return instant
        found = pattern.after(found)
    return None


def _backward(pattern: Pattern, zone: tzinfo, label: int, ceiling: int) -> int | None:
    """The last instant up to `ceiling` of a label before `label`."""
    found = pattern.before(label)
    while found is not None:
        for instant in reversed(_instants(pattern, zone, found)):
            if instant <= ceiling:
                return instant
        found = pattern.before(found)
    return None


def _instants(pattern: Pattern, zone: tzinfo, label: int) -> tuple[int, ...]:
    """When a label that is named counts, in order."""
    first, second = _offsets(zone, label)
    if first == second:
        return (label - first,)
    if first > second:
        return (label - first, label - second) if pattern.repeats else (label - first,)
    return () if pattern.skips else (_turn(zone, label - second, label - first),)


def _offset(zone: tzinfo, instant: int) -> int:
    return _seconds(datetime.fromtimestamp(instant, zone))


def _offsets(zone: tzinfo, label: int) -> tuple[int, int]:
    """How far the clocks are ahead of UTC when they show `label` for the first and for the second time.

    The same where they show it once. Where they pass over it the second is greater (PEP 495).
    """
    shown = datetime.fromtimestamp(label, UTC).replace(tzinfo=zone)
    return _seconds(shown), _seconds(shown.replace(fold=1))


def _seconds(shown: datetime) -> int:
    return (shown.utcoffset() or timedelta()) // _SECOND


def _turn(zone: tzinfo, before: int, after: int) -> int:
    """The first instant of the new offset, of two between which the clocks are changed."""
    old = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after
