"""Again? And when?"""

import pytest

from easyjobs.core.retry import LONGEST_DELAY, crashes, delay, may_retry
from easyjobs.core.task import Options

PLAIN = Options()


@pytest.mark.parametrize(
    ("failures", "max_attempts", "again"),
    [(1, 1, False), (1, 2, True), (2, 2, False), (3, 4, True), (1, 0, True), (10**6, 0, True)],
)
def test_a_job_runs_again_while_its_budget_lasts(failures: int, max_attempts: int, again: bool) -> None:
    assert may_retry(failures, max_attempts) is again


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 2.0), (2, 4.0), (3, 8.0), (11, 2048.0), (12, 3600.0), (5000, 3600.0)]
)
def test_by_default_delays_double_up_to_an_hour_and_spread_over_their_upper_half(failures: int, longest: float) -> None:
    assert delay(failures, PLAIN, 1.0) == longest
    assert delay(failures, PLAIN, 0.0) == longest / 2
    assert delay(failures, PLAIN, 0.5) == longest * 0.75


def test_a_backoff_alone_changes_the_growth() -> None:
    steady = Options(backoff=1.0)
    assert [delay(n, steady, 1.0) for n in (1, 2, 100)] == [2.0, 2.0, 2.0]
    assert delay(3, Options(backoff=10.0), 1.0) == 200.0


def test_a_tasks_own_delay_is_kept_to_the_letter() -> None:
    own = Options(retry_delay=5.0)
    assert [delay(n, own, jitter) for n, jitter in ((1, 0.0), (2, 0.5), (50, 1.0))] == [5.0, 5.0, 5.0]
    growing = Options(retry_delay=5.0, backoff=3.0)
    assert [delay(n, growing, 0.0) for n in (1, 2, 3, 99)] == [5.0, 15.0, 45.0, LONGEST_DELAY]


def test_what_is_retried_without_end_backs_off_unless_its_backoff_says_otherwise() -> None:
    always = Options(retry_policy="retry_always", retry_delay=5.0)
    assert [delay(n, always, 0.0) for n in (1, 2, 3, 99)] == [5.0, 10.0, 20.0, LONGEST_DELAY]
    steady = Options(retry_policy="retry_always", retry_delay=5.0, backoff=1.0)
    assert delay(50, steady, 0.0) == 5.0
    assert delay(50, Options(retry_policy="retry_always", retries=60, retry_delay=5.0), 0.0) == 5.0


def test_no_number_of_failures_and_no_factor_is_too_large() -> None:
    assert delay(10**6, PLAIN, 1.0) == LONGEST_DELAY
    assert delay(70, Options(backoff=1e6), 1.0) == LONGEST_DELAY
    assert delay(10**6, Options(retry_delay=0.0, backoff=2.0), 1.0) == 0.0
    assert delay(1, Options(retry_delay=1e9), 1.0) == LONGEST_DELAY


def test_crashes_count_for_24_hours_and_what_cannot_be_read_does_not() -> None:
    assert crashes(None, 5.0) == [5.0]
    assert crashes("[1.0,2.5]", 86401.0) == [2.5, 86401.0]
    assert crashes('{"no":1}', 5.0) == [5.0]
    assert crashes("[", 5.0) == [5.0]
