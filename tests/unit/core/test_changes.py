"""Units of writes: plain data that compare by value."""

import typing

import pytest

from easyjobs.core import changes
from easyjobs.core.changes import APPLIED, Applied, Claim, Committed, Insert, Offer, Stale, Unit, Update
from easyjobs.core.job import Job, Lane


def test_every_write_of_the_module_may_stand_in_a_unit() -> None:
    answers = {changes.Unit, changes.Applied, changes.Stale, changes.Broken, changes.Claim, changes.Offer, Committed}
    declared = {k for k in vars(changes).values() if isinstance(k, type) and k.__module__ == changes.__name__}
    assert set(typing.get_args(changes.Write)) == declared - answers
    assert set(typing.get_args(changes.Verdict)) == {changes.Applied, changes.Stale, changes.Broken}


def test_units_compare_by_what_they_write() -> None:
    job = Job("1", "q", "t")
    assert Unit([Insert(job)]) == Unit([Insert(Job("1", "q", "t"))])
    assert Unit([Update(job, {"state": "queued"})]) != Unit([Update(job, {"state": "failed"})])


def test_an_applied_unit_has_nothing_more_to_say() -> None:
    assert Applied() == APPLIED
    with pytest.raises(AttributeError):
        APPLIED.why = "no"  # type: ignore[attr-defined]


def test_answers_do_not_share_their_lists() -> None:
    first, second = Stale("version"), Stale("version")
    first.jobs.append(Job("1", "q", "t"))
    assert second.jobs == []
    one, two = Committed([APPLIED]), Committed([APPLIED])
    one.emptied.append(Lane("q", "t", ""))
    assert two.emptied == []


def test_a_claim_names_who_would_take_what() -> None:
    offer = Offer("s", 1, "w", 2, frozenset({Lane("q", "t", "")}))
    claim = Claim([offer], ["a", "b"])
    assert (claim.capacity, claim.offers[0].slots) == ({}, 2)
