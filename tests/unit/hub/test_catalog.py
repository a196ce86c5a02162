"""The tasks that the manager knows."""

from __future__ import annotations

import msgspec
import pytest
from house import spec

from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Need, Options
from easyjobs.errors import NotFound
from easyjobs.hub.catalog import Catalog
from easyjobs.stores.base import KnownTask

NARROW = Signature(parameters=(Parameter("n"),))


def test_a_task_is_news_once() -> None:
    catalog = Catalog()
    assert catalog.add(spec(), 1.0)
    version = catalog.version
    assert not catalog.add(spec(), 2.0)
    assert catalog.version == version
    assert catalog.find("q", "add").seen_at == 2.0


def test_other_options_are_news_and_replace_the_old_ones() -> None:
    catalog = Catalog()
    catalog.add(spec(), 1.0)
    assert catalog.add(spec(priority=5), 2.0)
    assert catalog.find("q", "add").options.priority == 5
    assert catalog.options(spec().lane).priority == 5
    assert catalog.ambiguous == []


def test_the_signature_that_was_registered_last_is_the_task_s() -> None:
    catalog = Catalog()
    catalog.add(spec(), 1.0)
    catalog.add(spec(signature=NARROW), 2.0)
    assert catalog.find("q", "add").spec.signature == NARROW
    assert catalog.ambiguous == [("q", "add")]
    assert catalog.add(spec(), 3.0)  # an old worker came back: that must be stored, to be so after a restart
    assert catalog.find("q", "add").spec == spec()
    assert [catalog.by_lane(spec(signature=s).lane) is not None for s in (NARROW, spec().signature)] == [True, True]


def test_what_the_store_kept_is_loaded_newest_last() -> None:
    catalog = Catalog()
    catalog.load([KnownTask(spec(signature=NARROW), 9.0), KnownTask(spec(), 3.0), KnownTask(spec("b", queue="p"), 1.0)])
    assert catalog.find("q", "add").spec.signature == NARROW
    assert [(e.spec.queue, e.spec.name) for e in catalog.entries] == [("p", "b"), ("q", "add")]
    assert catalog.has_queue("p")
    assert not catalog.has_queue("x")


def test_what_nobody_ever_offered_is_not_found_and_the_reason_says_what_there_is() -> None:
    catalog = Catalog()
    with pytest.raises(NotFound, match="known queues: none yet"):
        catalog.find("q", "add")
    catalog.add(spec(), 1.0)
    with pytest.raises(NotFound, match="known queues: q"):
        catalog.find("x", "add")
    with pytest.raises(NotFound, match="it has: add"):
        catalog.find("q", "x")
    assert catalog.by_lane(spec("x").lane) is None
    assert catalog.options(spec("x").lane) == Options()


def test_what_is_dropped_is_not_known_any_more() -> None:
    catalog = Catalog()
    catalog.add(spec(process_units=3), 1.0)
    version = catalog.version
    catalog.drop(spec().lane)
    catalog.drop(spec().lane)
    assert (catalog.get("q", "add"), catalog.by_lane(spec().lane), catalog.entries, catalog.units) == (
        None,
        None,
        [],
        {},
    )
    assert not catalog.has_queue("q")
    assert catalog.version == version + 1


def test_of_several_signatures_the_next_newest_is_the_task_s_when_one_is_dropped() -> None:
    catalog = Catalog()
    older, newer = spec(), spec(signature=NARROW)
    catalog.add(older, 1.0)
    catalog.add(newer, 2.0)
    catalog.drop(newer.lane)
    assert catalog.find("q", "add").spec == older
    catalog.add(newer, 3.0)
    catalog.drop(older.lane)
    assert catalog.find("q", "add").spec == newer
    assert catalog.ambiguous == []


def test_the_ways_to_look_for_a_task_go_with_the_one_that_looked() -> None:
    catalog = Catalog()
    needy = spec("needy", needs=(Need("add", 3600.0),))
    catalog.add(spec(), 1.0)
    catalog.add(needy, 1.0)
    assert list(catalog.sought) == [("q", "add")]
    catalog.drop(needy.lane)
    assert catalog.sought == {}


def test_only_what_was_seen_in_the_store_can_be_missing_there() -> None:
    catalog = Catalog()
    catalog.load([KnownTask(spec(), 1.0)])
    catalog.add(spec("new"), 2.0)
    assert catalog.missing([KnownTask(spec(), 1.0)]) == []
    assert catalog.missing([]) == [spec().lane]
    catalog.learn([KnownTask(spec("new"), 2.0)])
    assert catalog.missing([]) == [spec().lane, spec("new").lane]


def test_a_task_that_the_store_believes_nobody_needs_is_stored_again_when_it_is_offered() -> None:
    catalog = Catalog()
    catalog.load([KnownTask(spec(), 1.0, idle_since=2.0)])
    assert catalog.add(spec(), 3.0)
    assert not catalog.add(spec(), 3.0)
    catalog.add(spec(signature=NARROW), 4.0)
    catalog.learn([KnownTask(spec(), 1.0, idle_since=4.0)])
    assert catalog.add(spec(), 5.0, since=3.5), "an older worker keeps its own"
    assert catalog.find("q", "add").spec.signature == NARROW


def test_what_was_made_for_one_run_is_not_shown() -> None:
    catalog = Catalog()
    catalog.add(msgspec.structs.replace(spec(queue="run-1"), passing=True), 1.0)
    assert (catalog.shown, len(catalog.entries)) == ([], 1)
    with pytest.raises(NotFound, match="known queues: none yet"):
        catalog.find("q", "add")
