"""Jobs put into the queue by anybody's SQL, in his own transaction, and the views that people read."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import msgspec
import pytest
from postgres_server import fresh_schema, with_options

from easyjobs import EasyJobsWorker, JobMaster, Task
from easyjobs.background import Nursery
from easyjobs.core.changes import PutTask, Unit
from easyjobs.core.job import Job
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options, TaskSpec
from easyjobs.core.workflow import Graph, Node
from easyjobs.errors import ArgumentsRefused
from easyjobs.hub.embedded import connect
from easyjobs.hub.hub import Hub
from easyjobs.ids import Ids, is_job_id
from easyjobs.protocol.messages import Submission
from easyjobs.stores import open_store
from easyjobs.stores.postgres.address import address_of
from easyjobs.wire.link import Link

NAME = "sql_tasks_of_a_test"
TASKS = """
from enum import Enum
from typing import Annotated, Any, Literal, Optional

import msgspec

from easyjobs import Dependency, same, task

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

class Point(msgspec.Struct):
    x: int

@task
def foo(file_path: str, number: int = 3):
    return f"{file_path}:{number}"

@task(retries=4, timeout=7.5, priority=6, start_deadline=60)
def chosen(b: [1, 2, 3], colour: Colour = Colour.RED, way: Literal["up", "down"] = "up"):
    return b

@task
def typed(i: int = 0, f: float = 0.0, t: bool = True, s: Optional[str] = None, many: list[list[int]] = [],
          percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0, where: Point = Point(1), free: Any = None):
    pass

@task
def open_ended(a: int, *rest: int, **more: str):
    pass

@task(retry_policy="retry_always", write_all=["b", "c"])
def each(a: int, b: [1, 2, 3], c: ["x", "y"] = "x"):
    return a * b

@task(write_all=["a", "b"])
def too_many(a: list(range(200)), b: list(range(200))):
    pass

@task(retry_policy="never", dependencies=Dependency(foo, 1, file_path=same))
def needy(file_path: str):
    pass

@task(unique=True)
def single(a: int):
    pass

@task(run_before=["foo"])
def later(a: int):
    pass

@task(retries=0)
def bad():
    raise ValueError("always")

@task(retries=0)
def worse(text: str):
    raise ValueError(text)
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[ModuleType]:
    (tmp_path / f"{NAME}.py").write_text(TASKS)
    sys.path.insert(0, str(tmp_path))
    try:
        yield __import__(NAME)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules[NAME]


class Caller:
    """Somebody with a connection of his own, whose search_path has nothing of ours."""

    def __init__(self, connection: Any, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    async def insert(self, task: str, arguments: Any = None, priority: int | None = None, queue: str = NAME) -> str:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        select = f"SELECT {self.schema}.insert_job_id($1, $2, $3, $4::json)"
        id: str = await self.connection.fetchval(select, queue, task, priority, text)
        return id

    async def ids(self) -> list[str]:
        return [id for (id,) in await self.connection.fetch(f"SELECT id FROM {self.schema}.jobs ORDER BY seq")]


@asynccontextmanager
async def caller(url: str) -> AsyncIterator[Caller]:
    address = address_of(url)
    connection = await asyncpg.connect(address.dsn)
    try:
        yield Caller(connection, address.schema)
    finally:
        await connection.close()


@pytest.fixture
def deployed(store_url: str, tasks: ModuleType) -> str:
    """The URL of a schema that knows the tasks."""
    JobMaster(store_url, schema=address_of(store_url).schema, modules=[tasks]).deploy()
    return store_url


# -- what it stores


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("foo", {"file_path": "/tmp/x"}),
        ("chosen", {"b": 2, "colour": "blue", "way": "down"}),
        ("typed", {"i": 2.0, "f": 1, "t": False, "s": "x", "many": [[1], []], "where": {"x": 1}, "free": [None]}),
        ("open_ended", {"a": 1, "rest": [1, 2], "other": "x"}),
        ("each", {"a": 1, "b": 2}),
        ("each", {"a": 1, "b": "ALL", "c": "ALL"}),
        ("needy", {"file_path": "/tmp/x"}),
        ("bad", {}),
    ],
)
async def test_the_row_is_the_one_that_other_doors_make(deployed: str, task: str, arguments: dict[str, Any]) -> None:
    await same_at_both_doors(deployed, task, arguments)


async def test_a_workflow_becomes_a_run_and_what_is_to_begin_in_time_is_looked_at(deployed: str) -> None:
    day = Signature((Parameter("day", {"type": "string"}),))
    graph = Graph((Node("first", "foo"), Node("second", "foo", ("first",))))
    nightly = TaskSpec(NAME, "nightly", day, Options(sla=90.0, priority=3), kind="workflow", graph=graph)
    prompt = TaskSpec(NAME, "prompt", day, Options(sla=0.5))
    store = open_store(deployed)
    await store.open()
    try:
        await store.commit([Unit([PutTask(spec, store.now())]) for spec in (nightly, prompt)])
    finally:
        await store.close()
    run = await same_at_both_doors(deployed, "nightly", {"day": "2026-11-21"})
    assert (run.turn, run.signature, run.priority, run.late_at) == (
        "expand",
        nightly.lane.signature,
        3,
        run.run_at + 90,
    )
    job = await same_at_both_doors(deployed, "prompt", {"day": "2026-11-21"})
    assert (job.turn, job.late_at) == (None, job.run_at + 0.5)
    async with caller(deployed) as someone:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="day"):
            await someone.insert("nightly", {"day": 7})


async def same_at_both_doors(deployed: str, task: str, arguments: dict[str, Any]) -> Job:
    """The job that SQL makes of a call, which is as the hub makes it."""
    async with caller(deployed) as someone:
        mine = await someone.insert(task, arguments)
        hub = Hub(open_store(deployed))
        await hub.start()
        try:
            theirs = Ids().job_id()
            kwargs = msgspec.Raw(json.dumps(arguments).encode())
            await hub.submit([Submission(theirs, NAME, task, msgspec.Raw(b"[]"), kwargs)])
            jobs = await hub.store.jobs([mine, theirs])
        finally:
            await hub.stop()

        def told(job: Job) -> dict[str, Any]:
            facts = msgspec.structs.asdict(job)
            wait = None if job.deadline is None else round(job.deadline - job.run_at, 3)
            late = None if job.late_at is None else round(job.late_at - job.run_at, 3)
            facts |= {"deadline": wait, "late_at": late}
            return {name: value for name, value in facts.items() if name not in ("id", "seq", "created_at", "run_at")}

        assert is_job_id(mine)
        assert mine[14] == "7"
        assert abs(jobs[mine].created_at - jobs[theirs].created_at) < 60
        assert told(jobs[mine]) == told(jobs[theirs])
        columns = f"SELECT count(DISTINCT (ready, state, turn)) FROM {someone.schema}.jobs WHERE task = $1"
        assert await someone.connection.fetchval(columns, task) == 1
        return jobs[mine]


async def test_a_priority_that_is_given_counts(deployed: str) -> None:
    async with caller(deployed) as someone:
        await someone.insert("chosen", {"b": 1})
        await someone.insert("chosen", {"b": 1}, -5)
        rows = await someone.connection.fetch(f"SELECT priority FROM {someone.schema}.jobs ORDER BY seq")
        assert [row["priority"] for row in rows] == [6, -5]


# -- what it refuses


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("nosuch", {}, "No task 'nosuch' in queue 'sql_tasks_of_a_test'; it has: bad, chosen, each"),
        ("foo", {}, "kwargs.file_path: missing argument"),
        ("foo", {"file_path": "x", "b": 1}, "kwargs.b: unknown argument; the task has: file_path, number"),
        ("foo", {"file_path": 1, "number": "x"}, 'kwargs.number: "x" is not of type "integer"'),
        ("foo", {"file_path": 1}, 'kwargs.file_path: 1 is not of type "string"'),
        ("foo", [], "kwargs: must be an object"),
        ("bad", {"a": 1}, "kwargs.a: unknown argument; the task has: none"),
        ("chosen", {"b": 4}, "kwargs.b: 4 is not one of [1, 2, 3]"),
        ("chosen", {"b": True}, "kwargs.b: true is not one of"),
        ("chosen", {"b": 1, "colour": "green"}, 'kwargs.colour: "green" is not one of ["red", "blue"]'),
        ("chosen", {"b": 1, "way": "left"}, 'kwargs.way: "left" is not one of'),
        ("chosen", {"b": "ALL"}, "kwargs.b"),
        ("typed", {"i": 1.5}, "kwargs.i: 1.5 is not of type"),
        ("typed", {"i": True}, "kwargs.i: true is not of type"),
        ("typed", {"i": None}, "kwargs.i: null is not of type"),
        ("typed", {"f": "1"}, "kwargs.f"),
        ("typed", {"s": 1}, "kwargs.s: 1 is of none of the types"),
        ("typed", {"many": [[1], ["x"]]}, 'kwargs.many[1][0]: "x" is not of type'),
        ("typed", {"percent": 101}, "kwargs.percent: 101 is outside the range"),
        ("typed", {"where": 1}, 'kwargs.where: 1 is not of type "object"'),
        ("typed", {"free": json.loads("[" * 64 + "]" * 64)}, "nested too deep; 64 levels"),
        ("typed", {"free": "x" * 262_144}, "262144 are allowed"),
        ("open_ended", {"a": 1, "rest": ["x"]}, "kwargs.rest[0]"),
        ("open_ended", {"a": 1, "other": 1}, "kwargs.other: 1 is not of type"),
        ("each", {"a": 1, "b": "all"}, "kwargs.b"),
        ("too_many", {"a": "ALL", "b": "ALL"}, "together they are 40000 jobs; 10000 are allowed"),
        ("single", {"a": 1}, "'single' is unique"),
        ("later", {"a": 1}, "'later' has others that run before it"),
    ],
)
async def test_what_does_not_fit_is_an_error_that_says_where(
    deployed: str, task: str, arguments: Any, message: str
) -> None:
    async with caller(deployed) as someone:
        text = json.dumps(arguments)
        with pytest.raises(asyncpg.InvalidParameterValueError) as refused:
            await someone.insert(task, text)
        assert message in str(refused.value)
        assert refused.value.sqlstate == "22023"
        assert await someone.ids() == []


async def test_an_unknown_queue_and_a_wild_priority_are_refused(deployed: str) -> None:
    async with caller(deployed) as someone:
        with pytest.raises(asyncpg.InvalidParameterValueError, match=f"No queue 'nosuch'; known queues: {NAME}"):
            await someone.insert("foo", queue="nosuch")
        with pytest.raises(asyncpg.InvalidParameterValueError, match="within ±1000000"):
            await someone.insert("foo", {"file_path": "x"}, 1_000_001)


async def test_numbers_that_others_cannot_read_are_refused(deployed: str) -> None:
    async with caller(deployed) as someone:
        for number in ("1e309", "-1E+400", "9" * 400, "1e5000"):
            with pytest.raises(asyncpg.InvalidParameterValueError, match="too large"):
                await someone.insert("typed", f'{{"f": 0, "free": [{number}]}}')
        assert await someone.insert("typed", '{"f": 1.7e308, "free": ["1e999", 1e-300]}')


async def test_as_deep_as_is_allowed_is_taken(deployed: str) -> None:
    async with caller(deployed) as someone:
        assert await someone.insert("typed", {"free": json.loads("[" * 63 + "]" * 63)})


async def test_other_doors_refuse_the_same(deployed: str, tasks: ModuleType) -> None:
    async with caller(deployed) as someone:
        jobmaster = JobMaster(deployed, schema=someone.schema, modules=[tasks])
        for arguments in ({"b": 4}, {"b": True}, {"b": 1, "colour": "green"}, {}):
            with pytest.raises(ArgumentsRefused):
                await jobmaster.insert_job_async(NAME, "chosen", 0, arguments)
            with pytest.raises(asyncpg.InvalidParameterValueError):
                await someone.insert("chosen", arguments)


async def test_what_only_a_run_gives_is_refused(deployed: str) -> None:
    store = open_store(deployed)
    await store.open()
    await store.commit([Unit([PutTask(Task(name="extract", params={"rows": 2}).spec("taskflow"), 1.0)])])
    await store.close()
    async with caller(deployed) as someone:
        assert await someone.insert("extract", {"params": {"rows": 3}}, queue="taskflow")
        for given, name in (({"run": "x"}, "run"), ({"params": {}, "parents": {}}, "parents")):
            with pytest.raises(asyncpg.InvalidParameterValueError, match=f"kwargs.{name}: given by the run that a job"):
                await someone.insert("extract", given, queue="taskflow")
        with pytest.raises(asyncpg.InvalidParameterValueError, match=r"unknown argument; the task has: params$"):
            await someone.insert("extract", {"rows": 3}, queue="taskflow")


# -- in the caller's own transaction


async def test_what_is_rolled_back_was_never_there(deployed: str) -> None:
    async with caller(deployed) as someone:
        transaction = someone.connection.transaction()
        await transaction.start()
        await someone.connection.execute(f"""CALL {someone.schema}.insert_job('{NAME}', 'bad', 10, '{{}}'::json)""")
        assert len(await someone.ids()) == 1
        await transaction.rollback()
        assert await someone.ids() == []


async def test_a_worker_of_a_running_manager_runs_it_once_it_is_committed(deployed: str, tasks: ModuleType) -> None:
    async with caller(deployed) as someone:
        hub, nursery = Hub(open_store(deployed)), Nursery("test")
        await hub.start()

        async def dial() -> Link:
            return connect(hub, nursery)

        worker = EasyJobsWorker(NAME, name="w", connect=dial, embedded=True)
        worker.include(tasks, by_type_key=True)
        ended: asyncio.Queue[Job] = asyncio.Queue()
        hub.announcer.watchers.append(ended.put_nowait)
        await worker.start()
        try:
            async with someone.connection.transaction():
                arguments = '{"file_path": "/tmp/sum.txt", "number": 2}'
                await someone.connection.execute(
                    f"CALL {someone.schema}.insert_job('{NAME}', 'foo', 10, '{arguments}'::json)"
                )
            job = await ended.get()
            assert (job.state, job.priority, json.loads(job.result or "")) == ("completed", 10, "/tmp/sum.txt:2")
            group = await someone.insert("each", {"a": 5, "b": "ALL"})
            ended_ids = [(await ended.get()).id for _ in range(4)]
            assert ended_ids[-1] == group, "after its members"
        finally:
            await worker.stop()
            await hub.stop()
            await nursery.close()


async def test_managers_are_told_at_commit_and_not_before(deployed: str) -> None:
    async with caller(deployed) as someone:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with caller(deployed) as other:
            await other.connection.add_listener(f"easyjobs.{someone.schema}", lambda *note: heard.put_nowait(note[-1]))
            async with someone.connection.transaction():
                for _ in range(3):
                    await someone.insert("bad")
                await other.connection.execute("SELECT 1")  # what had been told would come before its answer
                assert heard.empty()
            note = json.loads(await heard.get())
            assert [lane[:2] for lane in note["lanes"]] == [[NAME, "bad"]]
            await other.connection.execute("SELECT 1")
            assert heard.empty(), "one for the three of them"


async def test_two_schemas_keep_their_jobs_apart(deployed: str, postgres_url: str, tasks: ModuleType) -> None:
    async with caller(deployed) as someone:
        url = with_options(postgres_url, schema=fresh_schema())
        async with caller(url) as other:
            await JobMaster(url, schema=other.schema, modules=[tasks]).deploy_async()
            mine, theirs = await someone.insert("bad"), await other.insert("bad")
            assert (await someone.ids(), await other.ids()) == ([mine], [theirs])


async def test_many_at_once_each_get_an_id(deployed: str) -> None:
    async with caller(deployed) as someone:

        async def produce() -> list[str]:
            async with caller(deployed) as one:
                return [await one.insert("foo", {"file_path": str(n)}) for n in range(25)]

        ids = [id for some in await asyncio.gather(*(produce() for _ in range(8))) for id in some]
        assert len(set(ids)) == 200
        assert sorted(await someone.ids()) == sorted(ids)


async def test_inserting_goes_on_while_it_is_deployed_again_and_again(deployed: str, tasks: ModuleType) -> None:
    async with caller(deployed) as someone:
        jobmaster = JobMaster(deployed, schema=someone.schema, modules=[tasks])

        async def produce() -> None:
            async with caller(deployed) as one:
                for n in range(50):
                    await one.insert("foo", {"file_path": str(n)})

        async def deploy() -> None:
            for _ in range(5):
                await jobmaster.deploy_async()

        await asyncio.gather(*(produce() for _ in range(4)), deploy())
        assert len(await someone.ids()) == 200


@asynccontextmanager
async def granted(someone: Caller, role: str) -> AsyncIterator[str]:
    """A role of the page that may what the page grants it, and nothing before; its name."""
    page = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
    (grants,) = (g for g in re.findall(r"```sql\n(GRANT.*?)```", page, re.DOTALL) if f" TO {role};" in g)
    name, execute = f"{role}_of_{someone.schema}", someone.connection.execute
    await execute(f"CREATE ROLE {name}")
    try:
        await execute(f"SET ROLE {name}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(f"SELECT FROM {someone.schema}.failed")
        await execute("RESET ROLE")
        await execute(
            grants.replace("easyjobs.", f"{someone.schema}.")
            .replace("SCHEMA easyjobs", f"SCHEMA {someone.schema}")
            .replace(f"{role};", f"{name};")
        )
        await execute(f"SET ROLE {name}")
        yield name
    finally:
        await execute("RESET ROLE")
        await execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_who_may_insert_may_insert_and_not_look(deployed: str) -> None:
    async with caller(deployed) as someone, granted(someone, "app"):
        assert await someone.insert("each", {"a": 1, "b": "ALL"})
        for table in ("jobs", "job_list"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await someone.connection.execute(f"SELECT FROM {someone.schema}.{table}")


async def test_who_may_look_sees_the_views_and_no_table(deployed: str) -> None:
    async with caller(deployed) as someone:
        await someone.insert("foo", {"file_path": "x"})
        async with granted(someone, "people"):
            fetch = someone.connection.fetch
            assert [row["task"] for row in await fetch(f"SELECT * FROM {someone.schema}.job_list")] == ["foo"]
            assert await fetch(f"SELECT * FROM {someone.schema}.running") == []
            assert await fetch(f"SELECT * FROM {someone.schema}.failed") == []
            for table in ("jobs", "sessions", "logs"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await fetch(f"SELECT FROM {someone.schema}.{table}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await someone.insert("bad")


async def test_text_that_postgresql_cannot_hold_is_refused(deployed: str) -> None:
    async with caller(deployed) as someone:
        for text in ("\\u0000", "\\ud800"):
            with pytest.raises(asyncpg.DataError):
                await someone.insert("foo", f'{{"file_path": "{text}"}}')
        assert await someone.ids() == []


# -- what people read


async def test_the_views_show_times_and_json(deployed: str, tasks: ModuleType) -> None:
    async with caller(deployed) as someone:
        jobmaster = JobMaster(deployed, schema=someone.schema, modules=[tasks])
        await someone.insert("bad")
        await jobmaster.run_async()
        await someone.insert("foo", {"file_path": "x"})
        fetch = someone.connection.fetchrow
        failed = await fetch(
            f"SELECT *, finished_at > now() - interval '1 hour' AS lately FROM {someone.schema}.failed"
        )
        assert (failed["task"], failed["error_type"], failed["error_message"]) == ("bad", "ValueError", "always")
        assert failed["lately"]
        row = await fetch(
            f"SELECT arguments ->> 'file_path' AS path FROM {someone.schema}.job_list WHERE state = 'queued'"
        )
        assert row["path"] == "x"
        assert await fetch(f"SELECT * FROM {someone.schema}.running") is None


async def test_a_text_that_postgresql_cannot_hold_spoils_no_view(deployed: str, tasks: ModuleType) -> None:
    async with caller(deployed) as someone:
        jobmaster = JobMaster(deployed, schema=someone.schema, modules=[tasks])
        for text in ("\0\0b", "a\\u0000\0", "\\\0"):
            await jobmaster.insert_job_async(NAME, "worse", 0, {"text": text})
        await jobmaster.run_async()
        failed = await someone.connection.fetch(
            "SELECT error_message, arguments ->> 'text' AS text, error ->> 'traceback' AS traceback"
            f" FROM {someone.schema}.failed ORDER BY seq"
        )
        shown = ["\ufffd\ufffdb", "a\\u0000\ufffd", "\\\ufffd"]
        assert [(row["error_message"], row["text"]) for row in failed] == [(text, text) for text in shown]
        assert all("ValueError" in row["traceback"] for row in failed)


def test_the_views_of_a_file(tmp_path: Path, tasks: ModuleType) -> None:
    jobmaster = JobMaster(f"sqlite:///{tmp_path}/jobs.db", modules=[tasks])
    jobmaster.deploy()
    jobmaster.insert_job(NAME, "bad")
    jobmaster.run()
    with sqlite3.connect(tmp_path / "jobs.db") as file:
        (row,) = file.execute("SELECT task, error_type, error_message, finished_at FROM failed").fetchall()
        (state, created) = file.execute("SELECT state, created_at FROM job_list").fetchone()
        running = file.execute("SELECT * FROM running").fetchall()
    file.close()
    assert row[:3] == ("bad", "ValueError", "always")
    assert (state, created[:2], created[-1], running) == ("failed", "20", "Z", [])
