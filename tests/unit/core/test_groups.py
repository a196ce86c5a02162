"""Groups: who is in one, in which order, how far it is, and how it ends."""

from __future__ import annotations

import msgspec
import pytest

from easyjobs.core import groups
from easyjobs.core.groups import Progress
from easyjobs.core.job import Job, Turn
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options

SIGNATURE = Signature(
    (
        Parameter("a"),
        Parameter("b", {"enum": [1, 2, "ALL"]}),
        Parameter("c", {"enum": ["x", "y", None, "ALL"]}, required=False, default=None),
        Parameter("d", {"enum": ["z", None, "ALL"]}),
    )
)
OPTIONS = Options(write_all=("b", "c"))


def test_a_group_says_all_for_a_parameter_that_may_be_spread() -> None:
    assert groups.spread(OPTIONS, {"a": "ALL", "b": 1, "c": "x"}) == ()
    assert groups.spread(OPTIONS, {"b": "ALL"}) == ("b",)
    assert groups.spread(OPTIONS, {"c": "ALL", "b": "ALL"}) == ("b", "c")
    assert groups.spread(Options(), {"b": "ALL"}) == ()


def test_its_members_are_all_combinations_of_the_values_that_the_author_listed() -> None:
    arguments = {"a": 0, "b": "ALL", "c": "ALL"}
    assert groups.size(SIGNATURE, ("b", "c")) == 4
    assert list(groups.members(SIGNATURE, ("b", "c"), arguments, 0)) == [
        {"a": 0, "b": b, "c": c} for b in (1, 2) for c in ("x", "y")
    ]
    assert list(groups.members(SIGNATURE, ("b", "c"), arguments, 3)) == [{"a": 0, "b": 2, "c": "y"}]
    assert groups.size(SIGNATURE, ("d",)) == 2
    assert groups.size(SIGNATURE, ("a",)) == groups.size(SIGNATURE, ("none",)) == 0


def test_a_value_of_none_that_was_listed_counts() -> None:
    listed = Signature((Parameter("d", {"enum": ["z", None, "ALL"]}, required=False, default="z"),))
    assert list(groups.members(listed, ("d",), {"d": "ALL"}, 0)) == [{"d": "z"}, {"d": None}]


def test_they_are_made_in_pages() -> None:
    large = Signature((Parameter("n", {"enum": [*range(groups.PAGE + 2), "ALL"]}),))
    assert len(list(groups.members(large, ("n",), {"n": "ALL"}, 0))) == groups.PAGE
    assert list(groups.members(large, ("n",), {"n": "ALL"}, groups.PAGE)) == [
        {"n": groups.PAGE},
        {"n": groups.PAGE + 1},
    ]


def group(turn: Turn | None, left: int, progress: str | None) -> Job:
    return Job("1", "q", "t", turn=turn, deps_left=left, progress=progress)


def test_its_progress_is_that_of_its_members() -> None:
    kept = msgspec.json.encode(Progress(members=5, upto=3, made=2)).decode()
    assert groups.progress_of(group("spread", 1, kept)) == Progress(5, 3, 2)
    shown = [groups.shown_progress(group(turn, left, kept)) for turn, left in (("spread", 2), ("gather", 1))]  # type: ignore[arg-type]
    assert shown == [
        '{"value":0.0,"note":"0 of 5 jobs have ended"}',
        '{"value":0.5,"note":"1 of 2 jobs have ended"}',
    ]


def test_the_progress_of_other_jobs_and_of_a_group_that_has_not_begun_is_as_it_is() -> None:
    assert groups.shown_progress(group(None, 0, '{"value":0.5}')) == '{"value":0.5}'
    assert groups.shown_progress(group("check", 0, "0")) == "0"
    assert groups.shown_progress(group("spread", 0, None)) is None
    assert groups.progress_of(group("spread", 0, None)) == Progress()


@pytest.mark.parametrize("damaged", ["{", '{"members":"x"}', "3"])
def test_progress_that_cannot_be_read_is_none(damaged: str) -> None:
    assert groups.progress_of(group("gather", 0, damaged)) == Progress()
    assert groups.shown_progress(group("gather", 0, damaged)) == '{"value":0.0,"note":"0 of 0 jobs have ended"}'


def test_a_group_completes_when_all_have_and_else_names_the_first_that_did_not() -> None:
    assert groups.summary({"1": "completed", "2": "completed"}).result == '{"jobs":2}'
    assert groups.summary({}).result == '{"jobs":0}'
    end = groups.summary({"1": "completed", "2": "skipped", "3": "failed", "4": "failed"})
    assert end.result is None
    assert msgspec.json.decode(end.error or "") == {
        "type": "MembersFailed",
        "message": "3 of 4 jobs did not complete (1 completed, 2 failed, 1 skipped); the first is 2",
        "traceback": "",
    }


def test_a_map_shows_its_progress_and_a_run_is_shown_by_the_states_of_its_jobs() -> None:
    kept = msgspec.json.encode(Progress(members=4, upto=4, made=4, mapped=True)).decode()
    assert groups.shown_progress(group("map", 0, kept)) == '{"value":1.0,"note":"4 of 4 jobs have ended"}'
    assert groups.shown_progress(group("close", 1, kept)) is None
    nothing = msgspec.json.encode(Progress(mapped=True)).decode()
    assert groups.shown_progress(group("gather", 0, nothing)) == '{"value":0.0,"note":"0 of 0 jobs have ended"}'


def test_bad_ends_in_words() -> None:
    counts = groups.counted(["completed", "failed", "failed"])
    assert groups.told(counts) == "2 of 3 jobs did not complete (1 completed, 2 failed)"
