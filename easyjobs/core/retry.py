"""Again? And when? The retry budget and the delays between attempts."""

from __future__ import annotations

import msgspec

from easyjobs.core.task import Options

BASE_DELAY = 2.0  # seconds before the first repetition
LONGEST_DELAY = 3600.0
MAX_CRASHES = 3
CRASH_WINDOW = 86400.0  # seconds for which a crash counts


def may_retry(failures: int, max_attempts: int) -> bool:
    """Whether a job that has failed `failures` times runs again; `max_attempts` 0 means always."""
    return max_attempts == 0 or failures < max_attempts


def delay(failures: int, options: Options, jitter: float) -> float:
    """Seconds until the next attempt after the `failures`-th failure (from 1).

    `min(1 h, 2 s * 2^(failures - 1))` spread over its upper half by `jitter` (0 to 1), unless the task has a
    `retry_delay` (then exactly that, times `backoff` for each further failure if it has one, and always for one that is
    retried without end).
    """
    if options.retry_delay is not None:
        endless = options.retry_policy == "retry_always" and options.retries is None
        factor = options.backoff or (2.0 if endless else 1.0)
        return min(LONGEST_DELAY, _grown(options.retry_delay, factor, failures))
    longest = min(LONGEST_DELAY, _grown(BASE_DELAY, options.backoff or 2.0, failures))
    return longest * (0.5 + 0.5 * jitter)


def crashes(crashed_at: str | None, now: float) -> list[float]:
    """The times of a job's crashes that still count: those of the row that are less than 24 hours old, and `now`."""
    try:
        before = msgspec.json.decode(crashed_at or "[]", type=list[float])
    except msgspec.DecodeError:
        before = []
    return [*(at for at in before if now - at < CRASH_WINDOW), now]


def _grown(first: float, factor: float, failures: int) -> float:
    try:
        return first * factor ** (failures - 1)
    except OverflowError:  # 2.0 ** 1100 is one; `retry_always` gets there in six weeks
        return LONGEST_DELAY if first else 0.0
