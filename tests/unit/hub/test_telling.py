"""What attempts tell: numbered lines, said again, left out, dropped, and a wall for those that keep no measure."""

from __future__ import annotations

import asyncio

from house import House, Peer, held, spec, story

from easyjobs.protocol.messages import Ack, Assignment, Finished, Hello, Log, Logged, Outcome, Welcome


def said(a: Assignment, first: int, *texts: str, drop: tuple[int, int] | None = None) -> Log:
    return Log(a.job, a.attempt, a.token, [(1.0, "info", text) for text in texts], first, drop)


async def shown(house: House, id: str) -> list[tuple[int, str]]:
    return [(line.n, line.text) for line in await house.hub.queries.logs(id, limit=10_000)]


@story
async def test_numbered_lines_are_answered_when_they_are_stored(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    house.store.gate.clear()
    worker.say(said(a, 1, "one", "two"), said(a, 3, "three"))
    await house.settle()
    assert worker.heard_of(Logged) == []
    house.store.gate.set()
    assert (await worker.hear(Logged)).jobs == [(job.id, 1, 2)]
    assert (await worker.hear(Logged)).jobs == [(job.id, 1, 3)]
    assert await shown(house, job.id) == [(1, "one"), (2, "two"), (3, "three")]


@story
async def test_a_commit_of_unknown_outcome_keeps_no_line_twice(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    await house.settle()
    house.store.faults = ["unknown", "down"]
    worker.say(said(a, 1, "one", "two"))
    await worker.hear(Logged)
    assert await shown(house, job.id) == [(1, "one"), (2, "two")]


@story
async def test_lines_said_again_to_the_next_manager_are_kept_once(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    worker.say(said(a, 1, "one", "two"))
    await worker.hear(Logged)
    await house.restart()
    worker, _ = await house.again(worker)
    worker.say(said(a, 2, "two", "three"), Finished([Outcome(a.job, 1, a.token)]))
    await worker.hear(Ack)
    assert await shown(house, job.id) == [(1, "one"), (2, "two"), (3, "three")]


@story
async def test_a_gap_is_marked_by_a_line_of_its_own_and_the_cursor_goes_over_it(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    worker.say(said(a, 1, "one", "two", "three", "four"))
    worker.say(said(a, 10, "ten", drop=(2, 3)))
    await worker.hear(Logged)
    await worker.hear(Logged)
    lines = await house.hub.queries.logs(job.id)
    assert [(line.n, line.level, line.text) for line in lines] == [
        (1, "info", "one"),
        (3, "gap", "… 2 lines were left out here …"),
        (4, "info", "four"),
        (9, "gap", "… 5 lines were left out here …"),
        (10, "info", "ten"),
    ]
    assert [line.n for line in await house.hub.queries.logs(job.id, after=3)] == [4, 9, 10]
    assert [line.n for line in await house.hub.queries.logs(job.id, after=2)] == [3, 4, 9, 10]
    assert [line.n for line in await house.hub.queries.logs(job.id, limit=2)] == [1, 3]
    assert [line.n for line in await house.hub.queries.logs(job.id, after=3, limit=2)] == [4, 9]
    assert [line.n for line in await house.hub.queries.logs(job.id, after=9, limit=2)] == [10]


@story
async def test_a_drop_or_a_number_that_makes_no_sense_is_passed_over(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    worker.say(said(a, 1, "one"), said(a, 2, "two", drop=(0, 9)), said(a, -5, "three"), said(a, 1), said(a, 3, "four"))
    worker.say(said(a, 2**70, "five"))
    await house.settle()
    assert [text for _, text in await shown(house, job.id)] == ["one", "two", "three", "four", "five"]


@story
async def test_a_child_has_numbers_of_its_own(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    child = await house.child(a)
    worker.say(said(a, 1, "the worker"))
    child.say(said(a, 1, "the child"))
    await child.hear(Logged)
    child.say(said(a, 1, "the child"))
    await child.hear(Logged)
    assert [text for _, text in await shown(house, job.id)] == ["the worker", "the child"]


@story
async def test_what_a_child_printed_is_kept_also_when_its_own_word_was_faster(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    child = Peer(house, frozenset(("child",)), held(a))
    child.say(Hello(1, "child"))
    await child.hear(Welcome)
    worker.say(said(a, 1, "before"))
    child.say(Finished([Outcome(a.job, 1, a.token)]))
    await child.hear(Ack)
    assert (await house.row(job.id)).state == "completed"
    worker.say(said(a, 2, "what came through the pipe"))
    worker.say(Log(a.job, 1, "another token", [(1.0, "info", "no")]))
    assert (await worker.hear(Logged)).jobs == [(job.id, 1, 1)]
    assert (await worker.hear(Logged)).jobs == [(job.id, 1, 2)]
    await house.settle()
    assert [text for _, text in await shown(house, job.id)] == ["before", "what came through the pipe"]
    assert house.hub.roster.logged == {}


@story
async def test_who_keeps_no_measure_meets_a_wall(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    line = "x" * 8000
    for n in range(150):
        worker.say(said(a, 0, line, line), said(a, n * 2 + 1, line))
    await asyncio.sleep(1)
    lines = await house.hub.queries.logs(job.id, limit=10_000)
    assert 2_000_000 < sum(len(line.text) for line in lines) < 2_110_000
    assert "the rest is dropped" in lines[-1].text
    assert worker.heard_of(Logged)[-1].jobs == [(job.id, 1, 299)]
    worker.finish(a)
    await worker.hear(Ack)
    assert house.hub.roster.logged == {}


@story
async def test_what_was_dropped_and_what_came_again_does_not_count_for_the_wall(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    line = "x" * 8000
    for n in range(1, 500):
        drop = (1, n - 2) if n > 2 else None
        worker.say(said(a, n, line, drop=drop), said(a, n, line, drop=drop))
    await asyncio.sleep(1)
    assert [n for n, text in await shown(house, job.id) if text == line] == [498, 499]
    assert house.hub.roster.logged[job.id].used == 2 * 8001
    assert held(a).job == job.id
