"""The tasks that the manager knows."""

from __future__ import annotations

import pytest
from house import spec

from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options
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
    assert catalog.queues == ["p", "q"]
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
