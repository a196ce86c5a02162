"""`easyjobs run`: the jobs of a file, here or on a cluster."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Final, ParamSpec

import click
import msgspec

from easyjobs.background import Nursery
from easyjobs.cli import DEBUG, in_short
from easyjobs.cli.asking import as_json, print_json
from easyjobs.cli.following import exit_of
from easyjobs.cli.http import Api
from easyjobs.cli.logs import AGAIN, INTERRUPTED
from easyjobs.cli.run_display import display, summary
from easyjobs.cli.runs import nodes_of
from easyjobs.cli.secret import read_secret, secret_option
from easyjobs.cli.text import plain
from easyjobs.core.task import is_name
from easyjobs.core.workflow import MOST
from easyjobs.errors import ConfigurationError, ConnectionLost, EasyJobsError, NotFound, Refused, RegistrationError
from easyjobs.faces.conducting import Conductor, Here, Json, Look, Progress, hub_here
from easyjobs.faces.jobs_file import Plan, read_plan
from easyjobs.faces.script_events import Events, find_events, settled
from easyjobs.faces.taskmaster import Order, host, script_worker
from easyjobs.ids import Ids, is_job_id
from easyjobs.settings import manager_settings, worker_settings
from easyjobs.stores import shown_url
from easyjobs.tasks.scripts import name_of_script, scripts_check
from easyjobs.workers.signals import stop_signals
from easyjobs.workers.worker import EasyJobsWorker

log = logging.getLogger("easyjobs")

P = ParamSpec("P")

WRONG: Final = 2
PAUSE: Final = 1.0
"""Seconds until a manager that did not answer is asked again."""

MOST_WITH_EVENTS: Final = MOST // 3
"""Scripts of a run, each with an event before and one after it."""

FEWEST: Final = 4
"""Scripts that run at once on a machine of fewer processors."""


class Wrong(click.ClickException):
    """The file, a script or the events will not do; nothing has run."""

    exit_code = WRONG


class Given(msgspec.Struct, frozen=True):
    """What the command line says of a run: the `file`, or the run that is taken up."""

    file: str | None
    resume: str | None
    folder: str | None
    events: str | None
    queue: str
    slots: int


class Begun(msgspec.Struct):
    """A run that goes on somewhere, its `conductor`, and where that is, for people. `here` it ends with us, and with
    these `workers`.
    """

    id: str
    conductor: Conductor
    where: str
    here: Here | None = None
    workers: tuple[EasyJobsWorker, ...] = ()


@click.command("run", short_help="Run the jobs of a file: steps of scripts.")
@click.argument("file", metavar="[JOBS.JSON]", required=False)
@click.option("--folder", metavar="DIR", help="Where the scripts are (else EASYJOBS_SCRIPTS, else the file's folder).")
@click.option("--events", metavar="TARGET", help="Whom to tell: events.py, events.py:Class or module:Class.")
@click.option("--store", metavar="URL", help="Where the run is kept (else EASYJOBS_STORE, else sqlite:///easyjobs.db).")
@click.option("--manager", metavar="URL", help="Run it on a cluster: http[s]://host[:port][/prefix].")
@click.option("--queue", metavar="NAME", help="On a cluster: the queue of its scripts (DEFAULT).")
@click.option("--slots", type=click.IntRange(1, 1000), help="How many scripts run here at once.")
@click.option("--resume", metavar="ID", help="Take up a run whose process has died.")
@click.option("--insecure", is_flag=True, help="Let the secret cross a network without TLS.")
@secret_option
@as_json
def command(
    file: str | None,
    folder: str | None,
    events: str | None,
    store: str | None,
    manager: str | None,
    queue: str | None,
    slots: int | None,
    resume: str | None,
    insecure: bool,
    secret_file: str | None,
    raw: bool,
) -> None:
    """Run the jobs of a file: jobs side by side, the steps of each in order, the scripts of a step side by side.

    Nothing needs to be running: scripts run here, and the store keeps the run. With --manager they run on the workers
    of a cluster (easyjobs worker --scripts FOLDER), and only events are told here.

    The exit code is 0 when all scripts succeeded, 1 when the run failed, 2 when the file, a script or the events will
    not do, and nothing has run; 3 when somebody cancelled it; 130 after Ctrl-C, which cancels a run that is here, and
    leaves one on a cluster alone.

      easyjobs run jobs.json --events events.py
    """
    if (file is None) == (resume is None):
        raise click.UsageError("name a file of jobs, or a run: --resume ID")
    if manager is not None and (store is not None or slots is not None):
        raise click.UsageError("--store and --slots are for a run here, not for one on a cluster")
    if manager is None and queue is not None:
        raise click.UsageError("--queue is for a run on a cluster: --manager URL")
    if resume is not None and not is_job_id(resume):
        raise click.UsageError(f"{resume[:64]!r} is no id of a run")
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    here = slots or max(FEWEST, os.cpu_count() or 1)
    given = Given(file, resume, folder, events, queue or "DEFAULT", here)
    if manager is None:
        code = asyncio.run(_run_here(given, manager_settings(store=store).store, raw))
    else:
        secret = worker_settings(manager_secret=read_secret(secret_file)).manager_secret
        with Api(manager, secret, insecure=insecure) as api:
            code = asyncio.run(_run_there(given, api, manager, secret, raw))
    sys.exit(code)


# -- here


async def _run_here(given: Given, url: str, raw: bool) -> int:
    order = None if given.file is None else new_order(given)
    if order is not None:
        check_here(order)
        events = events_of(order)
    async with hub_here(url) as here:
        begun = False
        if order is None:
            order, begun = await _resumed_here(here, given, shown_url(url))
            check_here(order)
            events = events_of(order)
        hosting = host([(order, None)], events, begun=begun)
        workers = (script_worker([order], given.slots), hosting)
        for worker in workers:
            await here.start(worker)
        conductor = Conductor(order, hosting, here.look)
        id = given.resume or await _begin(conductor, given)
        return await _conduct(Begun(id, conductor, shown_url(url), here, workers), raw)


async def _resumed_here(here: Here, given: Given, where: str) -> tuple[Order, bool]:
    """The order of the run that is taken up, and whether it has begun."""
    try:
        run = await here.hub.runs.run(given.resume or "")
    except NotFound:
        raise Wrong(
            plain(f"there is no run {given.resume} in {where}: say where it is, --store URL or --manager URL")
        ) from None
    job = run.job
    order = _again(Order.of_run(job.queue, job.task, msgspec.json.decode(job.kwargs)), given)
    if not order.apart:
        raise Wrong(f"the run {given.resume} is one of a cluster: --manager URL")
    return order, run.state != "queued"


def check_here(order: Order) -> None:
    """Pass an order whose scripts can run here.

    :raises Wrong: one cannot; says all.
    """
    try:
        problems = scripts_check(order.folder, [path for _, path in order.plan.scripts()])
    except ConfigurationError as error:
        raise Wrong(plain(str(error))) from None
    if problems:
        raise Wrong("\n".join(dict.fromkeys(plain(str(problem)) for problem in problems)))


# -- on a cluster


async def _run_there(given: Given, api: Api, url: str, secret: str | None, raw: bool) -> int:
    begun = False
    if given.file is not None:
        order = new_order(given, given.queue)
        check_known(order, api)
    else:
        try:
            run = api.get("runs", given.resume or "")
        except NotFound:
            raise Wrong(plain(f"there is no run {given.resume} at {url}")) from None
        order = _again(Order.of_run(run["queue"], run["workflow"], run["kwargs"]), given)
        if order.apart:
            raise Wrong(f"the run {given.resume} is not one of a cluster: its own store has it, --store URL")
        begun = run["state"] != "queued"
    worker = host([(order, None)], events_of(order), url=url, secret=secret, begun=begun)
    async with worker:
        conductor = Conductor(order, worker, looking(api))
        id = given.resume or await _begin(conductor, given)
        return await _conduct(Begun(id, conductor, url), raw)


def looking(api: Api) -> Look:
    """How to look at runs of a manager; one that is away for a while is waited for."""

    async def look(id: str, seconds: float) -> tuple[Json, list[Json]]:
        while True:
            try:
                run = await asyncio.to_thread(api.get, "runs", id, wait=seconds)
                return run, await asyncio.to_thread(lambda: list(nodes_of(api, id)))
            except ConnectionLost as lost:
                log.warning("%s", lost)
            except Refused as refused:
                if refused.status not in AGAIN:
                    raise
            await asyncio.sleep(PAUSE)

    return look


def check_known(order: Order, api: Api) -> None:
    """Pass an order whose scripts some worker of a manager has, or had.

    :raises Wrong: none has one of them.
    """
    wrong = [path for path in order.tasks() if not is_name(name_of_script(path))]
    if wrong:
        raise Wrong(f"no worker can have {', '.join(map(repr, wrong))}: 1 to 128 of A-Z a-z 0-9 _ . - are wanted")
    known = {task["name"] for task in api.get("tasks")["items"] if task["queue"] == order.scripts}
    unknown = [path for path, task in order.tasks().items() if task not in known]
    if unknown:
        raise Wrong(
            f"no worker of queue {order.scripts!r} has {', '.join(map(plain, unknown))}: start one with "
            f"easyjobs worker --scripts FOLDER --queue {order.scripts}"
        )


# -- both


def new_order(given: Given, scripts: str = "") -> Order:
    """The order of a new run of a file.

    :raises Wrong: the file will not do.
    """
    file = Path(given.file or "")
    plan, folder = plan_in(file), folder_of(given.folder, file)
    events = None if given.events is None else settled(given.events)
    number = sum(1 for _ in plan.scripts())
    if events is not None and number > MOST_WITH_EVENTS:
        raise Wrong(plain(f"{file}: with events a run has at most {MOST_WITH_EVENTS} scripts, not {number}"))
    # what no process must serve may be one workflow each time; else it is a new one, that nobody else takes up
    stable = scripts and events is None
    token = hashlib.sha256(msgspec.json.encode(plan)).hexdigest()[:12] if stable else Ids().token()[:12]
    return Order.fresh(plan, file.stem, f"run-{token}", folder, events, scripts)


def plan_in(file: Path) -> Plan:
    """The plan that a file holds.

    :raises Wrong: it will not do.
    """
    try:
        return read_plan(file)
    except ConfigurationError as error:
        raise Wrong("\n".join(map(plain, str(error).splitlines()))) from None


def folder_of(given: str | None, file: Path) -> str:
    """Where the scripts of a file are."""
    return str(Path(given or os.environ.get("EASYJOBS_SCRIPTS") or file.parent).resolve())


def events_of(order: Order) -> Events | None:
    """The events of an order, if it has some.

    :raises Wrong: they will not do.
    """
    if order.events is None:
        return None
    try:
        return find_events(order.events)
    except ConfigurationError as error:
        raise Wrong(plain(str(error))) from None
    except (Exception, SystemExit) as error:  # it is somebody's file that is run here
        if os.environ.get(DEBUG):
            raise
        raise Wrong(f"the events {plain(order.events)} cannot be loaded: {in_short(error)}") from None


def _again(order: Order, given: Given) -> Order:
    """A run's order, with what the command line says anew."""
    if given.events is not None and order.events is None:
        raise Wrong("this run was begun without events")
    events = order.events if given.events is None else settled(given.events)
    folder = order.folder if given.folder is None else str(Path(given.folder).resolve())
    return msgspec.structs.replace(order, events=events, folder=folder)


async def _begin(conductor: Conductor, given: Given) -> str:
    try:
        return await conductor.begin()
    except (Refused, RegistrationError) as error:
        raise Wrong(plain(f"{given.file} cannot be begun: {error}")) from None


async def _conduct(begun: Begun, raw: bool) -> int:
    """Show a run to its end; the exit code."""
    plan = begun.conductor.order.plan
    _while_read(click.echo, plain(f"run {begun.id} in {begun.where}"), err=raw)
    nursery = Nursery("conducting")
    ended: list[tuple[Json, list[Progress]]] = []
    lost: list[EasyJobsError] = []
    aside = redirect_stdout(sys.stderr) if raw else nullcontext()  # events may print, and what we print is JSON then
    with aside, display(plan, silent=raw) as screen:

        def show(run: Json, scripts: list[Progress]) -> None:
            _while_read(screen.show, run, scripts)

        async def follow() -> None:
            try:
                ended.append(await begun.conductor.follow(begun.id, show))
            except EasyJobsError as error:
                lost.append(error)

        following = nursery.spawn(follow(), "follow")
        leaving = asyncio.get_running_loop().create_future()

        def leave() -> None:
            if not leaving.done():
                leaving.set_result(None)

        async def cancel(here: Here) -> None:
            try:
                await here.hub.cancel(begun.id, "Ctrl-C")
            except Refused as refused:  # it is the store that fails, perhaps
                click.echo(plain(str(refused)), err=True)
                leave()

        with stop_signals(leave) as told:
            await asyncio.wait({following, told}, return_when=asyncio.FIRST_COMPLETED)
            interrupted = told.done() and not following.done()
            if interrupted and begun.here is not None:
                click.echo("cancelling; once more to leave at once", err=True)
                nursery.spawn(cancel(begun.here), "cancel")
                await asyncio.wait({following, leaving}, return_when=asyncio.FIRST_COMPLETED)
    if not following.done():
        following.cancel()
        for worker in begun.workers:
            await worker.stop(0)
    elif not following.cancelled():
        following.result()
    if interrupted and not ended:
        left = "it has not ended" if begun.here is not None else "the run goes on by itself, but for its events"
        click.echo(plain(f"{left}: --resume {begun.id} takes it up"), err=True)
        return INTERRUPTED
    if lost:
        raise lost[0]
    run, scripts = ended[0]
    if raw:
        print_json({"run": run, "scripts": [msgspec.to_builtins(one) for one in scripts]})
    else:
        _while_read(summary, run, scripts, [job.name for job in plan.jobs])
    return INTERRUPTED if interrupted else exit_of(run)


def _while_read(show: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Show something. Once nobody reads it, as after `| head`, all that is printed goes nowhere: the run goes on."""
    try:
        show(*args, **kwargs)
    except BrokenPipeError:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
