"""What a worker, its watchdog and strangers say, and what is done about it."""

from __future__ import annotations

import pytest
from house import House, Peer, held, raw, spec, story

from easyjobs.protocol.messages import (
    Ack,
    Assign,
    Credit,
    Drain,
    Finished,
    Heartbeat,
    Hello,
    Log,
    Outcome,
    Ping,
    Progress,
    Register,
    Started,
    Submit,
    Withdraw,
)

# -- what an attempt tells


@story
async def test_logs_and_progress_of_the_running_attempt_can_be_read_while_it_runs(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    worker.say(Log(a.job, 1, a.token, [(1.0, "info", "one"), (2.0, "error", "two")]))
    worker.say(Progress(a.job, 1, a.token, 7.0, "far"), Log(a.job, 1, a.token, [(3.0, "info", "three")]))
    await house.settle()
    lines = await house.hub.queries.logs(job.id)
    assert [(line.n, line.text) for line in lines] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    assert (await house.row(job.id)).progress == '{"value":1.0,"note":"far"}'


@story
async def test_what_a_stale_attempt_tells_is_counted_and_dropped(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    worker.say(Log(a.job, 2, a.token, [(1.0, "info", "no")]), Progress(a.job, 1, "forged", 0.5))
    await house.settle()
    assert await house.hub.queries.logs(job.id) == []
    assert house.hub.counters["stale_words"] == 2


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ({"result": raw("x" * 1_048_577)}, "ResultTooLarge"),
        ({"result": raw(eval("[" * 65 + "]" * 65))}, "ResultRefused"),
        ({"end": "failed", "error": raw(3)}, "Error"),
        ({"end": "failed", "error": raw({"type": "T" * 9999, "message": "m", "traceback": "t" * 99_999})}, "T" * 500),
    ],
)
def test_results_and_errors_are_judged(outcome: dict[str, object], kind: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        worker = await house.worker(spec(retries=0))
        job = await house.submit()
        a = await worker.begin()
        worker.say(Finished([Outcome(a.job, 1, a.token, **outcome)]))  # type: ignore[arg-type]
        assert (await worker.hear(Ack)).applied == [job.id]
        row = await house.row(job.id)
        assert row.state == "failed"
        assert row.error is not None
        assert f'"type":"{kind}"' in row.error
        assert len(row.error) < 70_000

    told()


@story
async def test_a_result_with_a_broken_string_is_refused(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    frame = b'[{"t":"finished","outcomes":[{"job":"%s","attempt":1,"token":"%s","result":"\xff"}]}]'
    worker.send_raw(frame % (a.job.encode(), a.token.encode()))
    assert (await worker.hear(Ack)).applied == [job.id]
    assert (await house.row(job.id)).state == "failed"


@story
async def test_a_stale_outcome_does_not_free_the_slot_of_the_attempt_that_runs(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retry_delay=0.5))
    await house.submit()
    outcome = worker.fail(await worker.begin())
    await worker.hear(Ack)
    second = await worker.begin()
    await house.submit()
    worker.say(Finished([outcome]))
    await house.settle(5.0)
    assert list(worker.held) == [second.job]


# -- slots


@story
async def test_an_attempt_that_waits_for_others_gives_its_slot_away(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    await house.submit()
    await worker.begin()
    await house.submit()
    await house.settle()
    assert len(worker.held) == 1
    worker.say(Credit(parked=1, slots=1))
    await house.settle()
    assert len(worker.held) == 2
    await house.submit()
    worker.say(Credit(parked=99, slots=10**9))
    await house.settle()
    assert len(worker.held) == 3


@story
async def test_a_worker_without_slots_gets_nothing(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=3)
    worker.say(Credit(parked=0, slots=-5))
    await house.submit()
    await house.settle(1.0)
    assert worker.heard_of(Assign) == []
    worker.say(Credit(parked=0, slots=1))
    await worker.begin()


# -- leases


@story
async def test_an_attempt_that_no_heartbeat_names_never_started(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    worker.say(Started([held(a)]))
    worker.say(Heartbeat([]))
    again = await worker.begin()
    assert (again.job, again.attempt) == (job.id, 2)
    row = await house.row(job.id)
    assert (row.failures, row.crashes) == (0, 0)


@story
async def test_an_assignment_on_its_way_needs_no_name_for_ten_seconds_then_the_session_is_broken(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    worker.say(Heartbeat([]))
    await house.settle(9.0)
    worker.say(Heartbeat([]))
    assert (worker.closed, (await house.row(job.id)).attempt) == (None, 1)
    await house.settle(1.1)
    worker.say(Heartbeat([]))
    assert await worker.until_closed() == 4408
    worker, _ = await house.again(worker, held=[])
    assert (await worker.begin()).attempt == 2


@story
async def test_the_name_of_an_older_attempt_does_not_acknowledge_the_next(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retry_delay=0.5))
    await house.submit()
    first = await worker.begin()
    worker.fail(first)
    await worker.begin()
    worker.say(Heartbeat([held(first)]), Started([held(first)]))
    await house.settle(10.1)
    worker.say(Heartbeat([held(first)]))
    assert await worker.until_closed() == 4408


@story
async def test_a_silent_worker_loses_its_jobs_after_its_lease(house: House) -> None:
    await house.open()
    worker, other = await house.worker(spec()), await house.worker(spec(), worker_id="x", slots=0)
    other.keep_beating()
    job = await house.submit()
    a = await worker.begin()
    worker.say(Heartbeat(worker.named()))
    other.say(Credit(0, 1))
    for _ in range(7):  # it pings, but holds on to nothing
        await house.settle(4.0)
        worker.say(Ping())
        assert (await house.row(job.id)).attempt == 1
    await house.settle(3.0)
    assert other.held[job.id].attempt == 2
    assert worker.closed == 4408
    worker.say(Finished([Outcome(a.job, 1, a.token)]))
    assert (await house.row(job.id)).state == "running"


@story
async def test_a_closed_socket_has_five_seconds_and_its_jobs_run_elsewhere_within_six(house: House) -> None:
    await house.open()
    worker, other = await house.worker(spec()), await house.worker(spec(), worker_id="x", slots=0)
    other.keep_beating()
    job = await house.submit()
    await worker.begin()
    await house.settle(2.5)
    other.say(Credit(0, 1))
    worker.drop()
    await house.settle(4.9)
    assert (await house.row(job.id)).attempt == 1
    await house.settle(0.3)
    assert other.held[job.id].attempt == 2
    assert [a.end for a in await house.hub.queries.attempts(job.id)] == ["crashed", None]


@story
async def test_words_under_a_lost_session_close_the_connection(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    house.hub.rescuer.lose(next(iter(house.hub.roster.sessions.values())), house.store.now(), "a test")
    worker.say(Heartbeat())
    assert await worker.until_closed() == 4408


# -- a second voice


@story
async def test_a_watchdog_keeps_the_lease_of_a_worker_whose_loop_is_blocked(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=2)
    first = await house.submit()
    a = await worker.begin()
    worker.say(Started([held(a)]))
    second = await house.submit()
    await worker.hear(Assign)  # lies unread in its socket
    third = await house.submit()
    watchdog = await house.watchdog()
    for _ in range(60):
        watchdog.say(Heartbeat([held(a)], blocked="q:add"))
        await house.settle(5.0)
    assert worker.closed is None
    assert [h.job for h in (await worker.hear(Withdraw)).jobs] == [second.id]
    assert ((await house.row(first.id)).state, (await house.row(first.id)).attempt) == ("running", 1)
    assert [(await house.row(id)).state for id in (second.id, third.id)] == ["queued", "queued"]
    (view,) = await house.hub.queries.workers()
    assert (view.state, view.blocked) == ("blocked", "q:add")
    worker.finish(a)
    assert (await worker.hear(Ack)).applied == [first.id]
    assert worker.heard_of(Assign) == []
    worker.say(Heartbeat([]))
    await house.settle()
    assert len(worker.held) == 2
    (view,) = await house.hub.queries.workers()
    assert (view.state, view.blocked) == ("live", None)


@story
async def test_a_watchdog_that_sees_no_blocked_loop_changes_nothing(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    watchdog = await house.watchdog()
    await house.submit()
    await worker.begin()
    watchdog.say(Heartbeat([]))
    await house.settle()
    (view,) = await house.hub.queries.workers()
    assert view.state == "live"
    assert worker.heard_of(Withdraw) == []


@story
async def test_nobody_is_lost_by_a_manager_whose_server_was_told_to_stop(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    house.hub.leaving = lambda: True
    worker.drop()  # the server closes all sockets, and waits for its answers before it tells anybody
    await house.settle(60.0)
    assert (await house.row(job.id)).state == "running"
    house.hub.leaving = lambda: False
    await house.settle(60.0)
    assert (await house.row(job.id)).state == "queued"


@story
async def test_the_grace_begins_when_the_last_voice_is_gone(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    watchdog = await house.watchdog()
    worker.drop()
    for _ in range(12):
        watchdog.say(Heartbeat([held(a)], blocked="q:add"))
        await house.settle(5.0)
    assert (await house.row(job.id)).state == "running"
    watchdog.drop()
    await house.settle(4.9)
    assert (await house.row(job.id)).state == "running"
    await house.settle(0.3)
    assert (await house.row(job.id)).state == "queued"


@story
async def test_a_watchdog_needs_a_session(house: House) -> None:
    await house.open()
    peer = Peer(house)
    peer.say(Hello(1, "watchdog", worker_id="nobody"))
    assert await peer.until_closed() == 4406


# -- strangers


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"garbage", 4406),
        (b"[{}]", 4406),
        (b'[{"t":"unknown"}]', 4406),
        (b"[" * 200_000, 4406),
        (b"\xff\xfe", 4406),
        ("[", 4406),
        (b'[{"t":"ping"}]', 4406),
        (b'[{"t":"hello","protocol":1,"role":"client"},{"t":"hello","protocol":1,"role":"client"}]', 4406),
        (b'[{"t":"hello","protocol":1,"role":"client"},{"t":"submit","jobs":[]}]', 4406),
        (b'[{"t":"hello","protocol":2,"role":"client"}]', 4406),
        (b'[{"t":"hello","protocol":1,"role":"king"}]', 4406),
        (b" " * 1_310_721, 4413),
    ],
)
def test_whoever_breaks_the_protocol_is_closed(frame: bytes | str, code: int) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        peer = Peer(house)
        peer.send_raw(frame)
        assert await peer.until_closed() == code
        assert list(house.hub.desk.connections) == []

    told()


@story
async def test_a_credential_s_role_is_the_only_one(house: House) -> None:
    await house.open()
    peer = Peer(house, roles=frozenset(("client",)))
    peer.say(Hello(1, "worker", worker_id="w"))
    assert await peer.until_closed() == 4401
    client = await house.client()
    client.say(Heartbeat())
    assert await client.until_closed() == 4406


@story
async def test_whoever_says_nothing_is_closed_after_ten_seconds(house: House) -> None:
    await house.open()
    peer = Peer(house)
    await house.settle(9.9)
    assert peer.closed is None
    await house.settle(0.2)
    assert peer.closed == 4408


@story
async def test_whoever_falls_silent_is_closed_after_thirty(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    await house.settle(29.9)
    assert worker.closed is None
    assert worker.heard_of(Ping) != []
    await house.settle(0.5)
    assert worker.closed == 4408


@story
async def test_whoever_does_not_read_is_closed(house: House) -> None:
    await house.open()
    client = await house.client()
    await house.open_worker()
    client.reads.clear()
    client.say(Submit([house.job(wait=True)]))
    await house.settle(11.0)
    assert client.closed == 4408


@story
async def test_whoever_reads_too_slowly_is_closed_before_memory_is_full(house: House) -> None:
    await house.open(outbox=10_000)
    client = await house.client()
    worker = await house.open_worker()
    client.reads.clear()
    sent = 0
    while client.closed is None and sent < 8:
        client.say(Submit([house.job(wait=True), house.job(wait=True, delay=1000.0)]))
        sent += 1
        worker.finish(await worker.begin(), "x" * 2000)
        await worker.hear(Ack)
        await house.settle()
    assert client.closed == 4408
    assert house.hub.announcer.awaited() == []


@story
async def test_a_socket_that_breaks_while_it_is_written_to_is_over(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    worker.broken = True
    await house.submit()
    await house.settle()
    assert list(house.hub.desk.connections) == []
    await house.settle(6.0)
    assert (await house.states()) == {"queued": 1}


@story
async def test_tasks_may_be_registered_later_and_are_judged_as_well(house: House) -> None:
    await house.open()
    worker = await house.worker()
    worker.say(Register([spec("late")]))
    await house.submit("late")
    await worker.begin()
    worker.say(Register([spec("../x")]))
    assert await worker.until_closed() == 4406


@story
async def test_someone_else_s_result_changes_nothing(house: House) -> None:
    await house.open()
    worker, thief = await house.worker(spec()), await house.worker(worker_id="thief")
    job = await house.submit()
    a = await worker.begin()
    thief.say(Finished([Outcome(a.job, 1, "guess", result=raw("stolen"))]))
    assert (await thief.hear(Ack)).stale == [job.id]
    worker.finish(a, "mine")
    await worker.hear(Ack)
    assert (await house.row(job.id)).result == '"mine"'


@story
async def test_a_manager_that_stops_says_so_and_keeps_what_runs(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    stopping = house.spawn(house.hub.stop())
    await worker.hear(Drain)
    assert await worker.until_closed() == 1012
    await stopping
    await house.open()
    assert (await house.row(job.id)).state == "running"
    worker, welcome = await house.again(worker)
    assert welcome.verdicts[0].verdict == "keep"
    worker.finish(a)
    assert (await worker.hear(Ack)).applied == [job.id]
