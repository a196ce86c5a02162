"""What becomes an alert by itself: tasks without a worker, deep queues, a store that fails."""

from __future__ import annotations

from house import House, spec, story

from easyjobs.core.changes import Delete, Insert, Unit
from easyjobs.core.job import Job
from easyjobs.protocol.messages import Ack, Goodbye
from easyjobs.stores.base import Retention

MINUTE = 60.0


def alerts(house: House) -> list[tuple[str, str]]:
    return [(alert.kind, alert.subject) for alert in house.hub.alerts.all()]


@story
async def test_a_task_that_nobody_offers_while_jobs_wait_is_an_alert_after_ten_minutes(house: House) -> None:
    await house.open(spec())
    await house.submit()
    await house.submit()
    await house.settle(9.9 * MINUTE)
    assert alerts(house) == []
    await house.settle(1.2 * MINUTE)
    (alert,) = house.hub.alerts.all()
    assert (alert.kind, alert.subject) == ("task_without_worker", "q:add")
    assert alert.text.startswith("2 jobs wait for task q:add, and no worker offers it now.")
    worker = await house.open_worker()
    await house.settle()
    assert alerts(house) == []
    for _ in range(2):
        worker.finish(await worker.begin())
        await worker.hear(Ack)
    worker.say(Goodbye())
    await house.settle(20 * MINUTE)
    assert alerts(house) == [], "nothing waits any more"


@story
async def test_a_worker_that_is_away_for_a_short_while_is_no_alert(house: House) -> None:
    await house.open(spec())
    await house.submit(delay=5 * MINUTE)
    await house.submit()
    await house.settle(8 * MINUTE)
    worker = await house.open_worker()
    await worker.begin()
    worker.drop()
    await house.settle(9 * MINUTE)
    assert alerts(house) == [], "the ten minutes begin anew"
    await house.settle(3 * MINUTE)
    assert alerts(house) == [("task_without_worker", "q:add")]


@story
async def test_jobs_that_are_not_due_or_were_cancelled_wait_for_nobody(house: House) -> None:
    await house.open(spec(), spec("sub"))
    await house.submit(delay=120 * MINUTE)
    job = await house.submit("sub")
    await house.hub.cancel(job.id, "me")
    await house.settle(30 * MINUTE)
    assert alerts(house) == []


@story
async def test_a_task_of_a_chain_that_nobody_ever_registered_is_an_alert_too(house: House) -> None:
    await house.open(spec(run_before=("other:first",)))
    job = await house.submit()
    await house.settle(12 * MINUTE)
    (alert,) = house.hub.alerts.all()
    assert alert.subject == "other:first"
    assert alert.text.startswith("1 job waits for task other:first, and no worker ever registered it.")
    await house.hub.cancel(job.id, "me")
    await house.settle(2 * MINUTE)
    assert alerts(house) == []


@story
async def test_a_deep_queue_is_an_alert_at_once_until_it_is_well_below(house: House) -> None:
    await house.open(spec(), warn_depth=10)
    for _ in range(10):
        await house.submit()
    await house.settle()
    (alert,) = house.hub.alerts.all()
    assert (alert.kind, alert.subject) == ("queue_depth", "q")
    assert alert.text.startswith("10 jobs of queue q wait or run; at 1000000 new ones are refused.")
    worker = await house.open_worker()
    worker.finish(await worker.begin())
    await house.settle(2 * MINUTE)
    assert alerts(house) == [("queue_depth", "q")]
    worker.finish(await worker.begin())
    await house.settle(2 * MINUTE)
    assert alerts(house) == []


@story
async def test_a_store_that_fails_is_an_alert_until_it_works_again(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    await house.submit()
    a = await worker.begin()
    house.store.down = True
    worker.finish(a)
    await house.settle(1.0)
    (alert,) = house.hub.alerts.all()
    assert (alert.kind, alert.subject) == ("store", "store")
    assert "it does not answer" in alert.text
    house.store.down = False
    await house.settle(10.0)
    assert alerts(house) == []


@story
async def test_a_store_that_is_nearly_full_is_an_alert(house: House) -> None:
    await house.open(spec(), retention=Retention(rows=10, bytes=100_000))
    for n in range(9):
        row = Job(f"old{n}", "q", "add", state="completed", finished_at=house.hub.now())
        await house.store.commit([Unit([Insert(row)])])
    await house.settle(2 * MINUTE)
    assert alerts(house) == [("retention", "rows")]
    large = Job("large", "q", "add", args=f'["{"x" * 95_000}"]', state="completed")
    await house.store.commit([Unit([Insert(large)])])
    await house.settle(2 * MINUTE)
    assert {subject for _, subject in alerts(house)} == {"rows", "bytes"}
    for job in (await house.store.jobs([*(f"old{n}" for n in range(9)), "large"])).values():
        await house.store.commit([Unit([Delete(job)])])
    await house.settle(2 * MINUTE)
    assert alerts(house) == []
