"""`easyjobs schedule`: the jobs of a file by themselves, each every so many days."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from pathlib import Path
from typing import Final, TypeAlias

import click
import msgspec

from easyjobs.background import Nursery
from easyjobs.cli.http import Api
from easyjobs.cli.run import FEWEST, check_here, check_known, events_of, folder_of, looking, plan_in
from easyjobs.cli.run_display import summary
from easyjobs.cli.secret import read_secret, secret_option
from easyjobs.cli.text import plain
from easyjobs.clock import SystemClock
from easyjobs.core import cron
from easyjobs.core.schedule import Rule
from easyjobs.errors import ConnectionLost, Refused, RegistrationError
from easyjobs.faces.conducting import Conductor, Json, Look, hub_here
from easyjobs.faces.script_events import settled
from easyjobs.faces.taskmaster import Order, by_frequency, clean, forget, host, script_worker
from easyjobs.settings import manager_settings, worker_settings
from easyjobs.stores import shown_url
from easyjobs.stores.base import JobQuery
from easyjobs.workers.signals import stop_signals
from easyjobs.workers.worker import EasyJobsWorker

log = logging.getLogger("easyjobs")

EVERY: Final = 1.0
"""Seconds between two looks for new runs."""

NEWEST: Final = 50
"""Runs of a schedule that are looked after: those that go on, and those that ended while nobody was here."""

Orders: TypeAlias = list[tuple[Order, Rule | None]]
Find: TypeAlias = Callable[[str], Awaitable[list[str]]]
"""The ids of the newest runs of a queue."""

_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z")


@click.command("schedule", short_help="Run the jobs of a file by themselves, every so many days.")
@click.argument("file", metavar="JOBS.JSON")
@click.option("--at", required=True, metavar="HH:MM", help="The time of day.")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Where it is that time.")
@click.option("--from", "first", metavar="DATE", help="The first day, from which a frequency counts: 2026-01-31.")
@click.option("--folder", metavar="DIR", help="Where the scripts are (else EASYJOBS_SCRIPTS, else the file's folder).")
@click.option("--events", metavar="TARGET", help="Whom to tell: events.py, events.py:Class or module:Class.")
@click.option("--name", help="What it is called (else the file's name and place).")
@click.option(
    "--store", metavar="URL", help="Where the runs are kept (else EASYJOBS_STORE, else sqlite:///easyjobs.db)."
)
@click.option("--manager", metavar="URL", help="Run them on a cluster: http[s]://host[:port][/prefix].")
@click.option("--queue", metavar="NAME", help="On a cluster: the queue of its scripts (DEFAULT).")
@click.option("--slots", type=click.IntRange(1, 1000), help="How many scripts run here at once.")
@click.option("--insecure", is_flag=True, help="Let the secret cross a network without TLS.")
@secret_option
def command(
    file: str,
    at: str,
    timezone: str,
    first: str | None,
    folder: str | None,
    events: str | None,
    name: str | None,
    store: str | None,
    manager: str | None,
    queue: str | None,
    slots: int | None,
    insecure: bool,
    secret_file: str | None,
) -> None:
    """Run the jobs of a file by themselves: those of `frequency` 1 every day, of 2 every second day, and so on.

    This process stays, until SIGTERM or Ctrl-C: it begins the runs, tells their events, and without --manager runs
    their scripts. Started again with the same file it goes on; with a changed one the new jobs take the place of the
    old.

      easyjobs schedule jobs.json --at 06:00 --timezone Pacific/Auckland
    """
    if manager is not None and (store is not None or slots is not None):
        raise click.UsageError("--store and --slots are for runs here, not for those on a cluster")
    if manager is None and queue is not None:
        raise click.UsageError("--queue is for runs on a cluster: --manager URL")
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    home = folder_of(folder, Path(file))
    told = None if events is None else settled(events)
    mark = hashlib.sha256(str(Path(file).resolve()).encode()).hexdigest()[:6]
    called = clean(name)[:40] if name else f"{clean(Path(file).stem)[:40]}-{mark}"
    orders: Orders = []
    for days, part in by_frequency(plan_in(Path(file))).items():
        facts = msgspec.json.encode([part, home, told, queue])
        own = f"{called}.every-{days}.{hashlib.sha256(facts).hexdigest()[:8]}"
        scripts = "" if manager is None else queue or "DEFAULT"
        order = Order.fresh(part, f"{Path(file).stem}-every-{days}", own, home, told, scripts, lasting=True)
        orders.append((order, _rule(at, timezone, first, days)))
    if manager is None:
        asyncio.run(
            _here(orders, called, manager_settings(store=store).store, slots or max(FEWEST, os.cpu_count() or 1))
        )
    else:
        secret = worker_settings(manager_secret=read_secret(secret_file)).manager_secret
        with Api(manager, secret, insecure=insecure) as api:
            asyncio.run(_there(orders, called, api, manager, secret))


def _rule(at: str, timezone: str, first: str | None, days: int) -> Rule:
    time = _TIME.match(at)
    if time is None:
        raise click.UsageError(f"{at!r} is no time of day: 06:00")
    try:
        zone = cron.zone_of(timezone)
        begin = None if first is None else datetime.combine(_day(first), datetime.min.time(), zone)
        rule = Rule(
            f"{int(time[2])} {int(time[1])} * * *",
            timezone,
            start_at=None if begin is None else begin.timestamp(),
            overlap="skip",
            every_days=days,
        )
        cron.check(rule)
    except (ValueError, RegistrationError) as error:
        raise click.UsageError(str(error)) from None
    return rule


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no day: 2026-01-31") from None


async def _here(orders: Orders, called: str, url: str, slots: int) -> None:
    for order, _ in orders:
        check_here(order)
    events = events_of(orders[0][0])
    async with hub_here(url) as here:
        worker = host(orders, events)
        known = [(view.row.queue, view.row.task) for view in here.hub.schedules.page(limit=100_000)[0]]
        _forget(worker, orders, called, known)

        async def find(queue: str) -> list[str]:
            views, _ = await here.hub.runs.page(JobQuery(queue=queue, limit=NEWEST))
            return [view.job.id for view in views]

        for one in (script_worker([order for order, _ in orders], slots), worker):
            await here.start(one)
        await _attend(orders, worker, here.look, find, shown_url(url))


async def _there(orders: Orders, called: str, api: Api, url: str, secret: str | None) -> None:
    for order, _ in orders:
        check_known(order, api)
    events = events_of(orders[0][0])
    worker = host(orders, events, url=url, secret=secret)
    _forget(worker, orders, called, _schedules(api))

    async def find(queue: str) -> list[str]:
        page = await asyncio.to_thread(api.get, "runs", queue=queue, limit=NEWEST)
        return [run["id"] for run in page["items"]]

    async with worker:
        await _attend(orders, worker, looking(api), find, url)


def _schedules(api: Api) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        page = api.get("schedules", limit=200, cursor=cursor)
        found += [(one["queue"], one["task"]) for one in page["items"] if one["source"] == "code"]
        cursor = page["next"]
        if cursor is None:
            return found


def _forget(worker: EasyJobsWorker, orders: Orders, called: str, known: list[tuple[str, str]]) -> None:
    """Take away the schedules of jobs that the file had before."""
    queues = {order.queue for order, _ in orders}
    for queue, task in known:
        if queue.startswith(f"{called}.every-") and queue not in queues:
            forget(worker, queue, task, orders[0][0])


async def _attend(orders: Orders, worker: EasyJobsWorker, look: Look, find: Find, where: str) -> None:
    """Look after all runs of these orders, until we are told to stop."""
    nursery = Nursery("schedules")
    for order, rule in orders:
        names = ", ".join(job.name for job in order.plan.jobs)
        click.echo(plain(f"{names}: {_when(rule)}, in {where}"))
    seen: set[str] | None = None

    async def see_through(id: str, order: Order, *, new: bool) -> None:
        looks: list[Json] = []
        try:
            run, scripts = await Conductor(order, worker, look).follow(id, lambda run, _: looks.append(run))
        except Refused as refused:
            log.warning("run %s: %s", id, refused)
            return
        if new or looks[0] is not run:  # else it had ended before we came
            summary(run, scripts, [job.name for job in order.plan.jobs])

    with stop_signals(_no_hurry) as told:
        while not told.done():
            there: set[str] = set()
            for order, _ in orders:
                try:
                    ids = await find(order.queue)
                except (ConnectionLost, Refused) as lost:
                    log.warning("%s", lost)
                    there |= seen or set()
                    break
                for id in ids:
                    if seen is None or id not in seen:
                        nursery.spawn(see_through(id, order, new=seen is not None), "run")
                there.update(ids)
            seen = there
            await asyncio.wait({told}, timeout=EVERY)
    await nursery.close()


def _when(rule: Rule | None) -> str:
    """When jobs run, and when they do next, as clocks there show it."""
    if rule is None:
        return ""
    following = cron.next_after(rule, SystemClock().wall())
    if following is None:
        return cron.in_words(rule)
    there = datetime.fromtimestamp(following, cron.zone_of(rule.timezone))
    return f"{cron.in_words(rule)}, next {there:%Y-%m-%d %H:%M %Z}"


def _no_hurry() -> None:
    """There is nothing to hurry."""
