"""JobMaster's own document, typed as it was printed, with SQLAlchemy and pg8000 on a real server.

Only the name of the library is another, what the document leaves undefined is defined, and a function whose body is
nothing but a comment has a body.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import sqlalchemy
from postgres_server import PostgresServer, fresh_schema, own_server
from support import COMMAND, LONG, Cluster, Process, until

Make = Callable[..., Cluster]

FILES = {
    "jmtests/__init__.py": """
        import os
        import sqlalchemy

        where = {"user": "postgres", "host": "127.0.0.1", "port": int(os.environ["PORT"]), "database": "postgres"}
        db_engine = sqlalchemy.create_engine("postgresql+pg8000://", connect_args=where)
    """,
    "jmtests/awesome_things/__init__.py": "",
    "jmtests/awesome_things/things1.py": '''
        # jmtests/awesome_things/things1.py

        from easyjobs import task

        @task
        def foo(file_path: str, number: [1, 2, 3]):
            """
            Write a number to a file.

            :param file_path: the file to write to
            :param number: the number to write
            """
            with open(file_path, 'w') as f:
                f.write(str(number))
    ''',
    "jmtests/utils/__init__.py": "",
    "jmtests/utils/jmutils.py": """
        # jmtests/utils/jmutils.py

        from easyjobs import JobMaster
        from .. import db_engine
        from jmtests.awesome_things.things1 import *

        jobmaster = JobMaster(db_engine=db_engine, _validate_dependencies=True)

        # Run jobs from the queue until the queue is empty
        if __name__ == '__main__':
            jobs = jobmaster.run()
    """,
    "simple/__init__.py": "from . import nice_tasks, my_tasks, optional_tasks, cool, units",
    "simple/nice_tasks.py": """
        # module nice_tasks.py

        from easyjobs import task, Dependency, same

        @task
        def foo(file_path: str, number: int):
            with open(file_path, 'w') as f:
                f.write(str(number))


        @task(dependencies=Dependency(foo, 6, file_path=same))
        def bar(file_path: str, number: int, letter: ['A', 'B', 'C'] = 'A'):
            with open(file_path, 'r') as f:
                _n = int(f.read())

            with open(file_path, 'w') as f:
                f.write(f"{number + _n}{letter}")

        @task(
            process_limit=3,
            dependencies=[
                Dependency(foo, 2, number=10, file_path=same),
                Dependency(bar, 2, file_path=same)
            ]
        )
        def baz(file_path: str):
            with open(file_path, 'r') as f:
                s = f.read()
    """,
    "simple/main.py": """
        # module main.py

        import os
        import sqlalchemy
        from easyjobs import JobMaster

        # Create a SQLAlchemy engine for your PostgreSQL database
        my_database_engine = sqlalchemy.create_engine(
            "postgresql+pg8000://", connect_args={
                "user": "postgres", "host": "127.0.0.1", "port": int(os.environ["PORT"]), "database": "postgres"
            })

        # Create a JobMaster instance
        jobmaster = JobMaster(db_engine=my_database_engine, schema="job_mistress")
    """,
    "simple/deploy_jobmaster.py": """
        # module deploy_jobmaster.py

        from .main import jobmaster

        # Deploy the necessary tables
        jobmaster.deploy()
    """,
    "simple/my_tasks.py": """
        from easyjobs import task

        @task(write_all=['b'])
        def foo(a: int, b: [1, 2, 3]):
            # do something
            return a * b
    """,
    "simple/optional_tasks.py": """
        from easyjobs import task

        @task
        def foo(a: int = 1, b: int = 2):
            # do something
            return [a, b]
    """,
    "simple/cool.py": """
        from easyjobs import task, Dependency, same

        @task(type_key='cool_tasks', write_all=['b'])
        def foo(a: int, b: [1, 2, 3]):
            # do something
            pass

        @task(
            type_key='cool_tasks',
            write_all=['b'],
            dependencies=Dependency(foo, 2, a=1, b=same)
        )
        def bar(a: int, b: [1, 2, 3], c: str):
            # do something
            pass
    """,
    "simple/units.py": """
        from easyjobs import task, Dependency, same

        @task(process_units=10, write_all=['b'])
        def foo(a: int, b: [1, 2, 3]):
            # do something
            pass

        @task(
            type_key='cool_tasks_with_units',
            write_all=['b'],
            dependencies=Dependency(foo, 2, a=1, b=same),
            process_units=20
        )
        def bar(a: int, b: [1, 2, 3], c: str):
            # do something
            pass
    """,
}

RUN = "from simple.main import jobmaster; import msgspec; print(msgspec.json.encode(jobmaster.run()).decode())"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = own_server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def project(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text).lstrip())
    return folder


@pytest.fixture(scope="module")
def engine(server: PostgresServer) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+pg8000:"))
    yield engine
    engine.dispose()


def python(project: Path, server: PostgresServer, *arguments: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("EASYJOBS_", "JOBMASTER_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**env, "PORT": str(server.port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def execute(engine: sqlalchemy.Engine, sql: str) -> Any:
    with engine.begin() as connection:
        return connection.exec_driver_sql(sql)


def test_a_job_that_was_called_for_in_sql_is_run_by_a_script(
    project: Path, server: PostgresServer, engine: sqlalchemy.Engine, tmp_path: Path
) -> None:
    python(project, server, "-c", "from jmtests.utils.jmutils import jobmaster; jobmaster.deploy()")
    sum_ = tmp_path / "sum.txt"
    execute(
        engine,
        f"""call jobmaster.insert_job('things1', 'foo', 10, '{{"file_path": "{sum_}", "number": 2}}'::json)""",
    )
    python(project, server, "-m", "jmtests.utils.jmutils")
    assert sum_.read_text() == "2"
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match=r"4 is not one of \[1, 2, 3\]"):
        execute(
            engine,
            """call jobmaster.insert_job('things1', 'foo', 10, '{"file_path": "x", "number": 4}'::json)""",
        )


def test_the_simple_example_and_all_that_follows_it(
    project: Path, server: PostgresServer, engine: sqlalchemy.Engine, tmp_path: Path
) -> None:
    def insert(type_key: str, task_key: str, priority: int, arguments: str) -> None:
        execute(engine, f"call job_mistress.insert_job('{type_key}', '{task_key}', {priority}, '{arguments}'::json)")

    def run() -> list[dict[str, Any]]:
        ran: list[dict[str, Any]] = json.loads(python(project, server, "-c", RUN))
        return ran

    python(project, server, "-m", "simple.deploy_jobmaster")
    file = tmp_path / "n.txt"
    insert("nice_tasks", "bar", 10, f'{{"file_path": "{file}", "number": 5}}')
    assert [(job["task_key"], job["priority"], job["state"]) for job in run()] == [
        ("foo", 11, "completed"),
        ("bar", 10, "completed"),
    ]
    assert file.read_text() == "10A"
    insert("nice_tasks", "baz", 0, f'{{"file_path": "{file}"}}')
    first, second = run()
    assert (first["task_key"], first["arguments"]) == ("foo", {"file_path": str(file), "number": 10})
    assert second["state"] == "completed"

    insert("my_tasks", "foo", 10, '{"a": 1, "b": "ALL"}')
    insert("optional_tasks", "foo", 30, '{"b": 5}')
    insert("my_tasks", "foo", 20, '{"a": 7, "b": 3}')
    ran = [(job["type_key"], job["result"]) for job in run()]
    assert ran[:2] == [("optional_tasks", [1, 5]), ("my_tasks", 21)], "higher first"
    assert sorted(result for _, result in ran[2:5]) == [1, 2, 3]
    assert ran[5:] == [("my_tasks", {"jobs": 3})]

    for type_key, of in (("cool_tasks", "cool_tasks"), ("cool_tasks_with_units", "units")):
        insert(type_key, "bar", 0, '{"a": 5, "b": "ALL", "c": "x"}')
        ran = run()
        assert {job["state"] for job in ran} == {"completed"}
        made = [(job["type_key"], job["arguments"]["b"]) for job in ran if job["task_key"] == "foo"]
        assert sorted(made) == [(of, 1), (of, 2), (of, 3)]

    insert("my_tasks", "foo", 10, '{"a": 1, "b": 2}')
    reset = "from simple.main import jobmaster; jobmaster.deploy(_reset=True)"
    python(project, server, "-c", reset)
    assert run() == []


def test_an_engine_with_a_creator_must_say_where_it_is(server: PostgresServer) -> None:
    import pg8000.dbapi

    from easyjobs import JobMaster
    from easyjobs.errors import ConfigurationError

    engine = sqlalchemy.create_engine(
        "postgresql+pg8000://", creator=lambda: pg8000.dbapi.connect("postgres", "127.0.0.1", port=server.port)
    )
    with pytest.raises(ConfigurationError, match="creator"):
        JobMaster(engine)
    engine.dispose()


# -- several at once, and those that die

HELD = """
    from easyjobs import JobMaster, task
    import os, sys, time

    @task(write_all=["letter"])
    def hold(name: str, letter: ["a", "b", "c"] = "a"):
        with open(os.environ["EFFECTS"], "a") as ledger:
            ledger.write(f"{name}{letter} 1 {os.getpid()} began\\n")
        while not os.path.exists("gate"):
            time.sleep(0.01)
        time.sleep(0.02)
        return os.getpid()

    master = JobMaster(os.environ["STORE"], modules=[sys.modules["held"]])
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def cluster(make: Make, request: pytest.FixtureRequest, server: PostgresServer) -> Cluster:
    url = f"{server.url}?schema={fresh_schema()}"
    cluster = make(STORE=url if request.param == "postgresql" else "")
    cluster.settings["STORE"] = cluster.settings["STORE"] or f"sqlite:///{cluster.folder}/jobs.db"
    (cluster.folder / "held.py").write_text(dedent(HELD))
    command(cluster, "import held; held.master.deploy()")
    return cluster


def command(cluster: Cluster, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cluster.folder,
        env=cluster.env(cluster.settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


RUN_HELD = "import held; print(*(f'{j.state} {j.arguments[\"name\"]}' for j in held.master.run()), sep='\\n')"


def run_of(cluster: Cluster) -> Process:
    return cluster.start("run", [sys.executable, "-c", RUN_HELD], cluster.settings)


def test_the_job_of_a_run_that_was_killed_runs_again_in_the_next(cluster: Cluster) -> None:
    command(cluster, "import held; held.master.insert_job('held', 'hold', 0, {'name': 'x'})")
    first = run_of(cluster)
    until(cluster.effects, "the job begins")
    first.kill()
    (cluster.folder / "gate").touch()
    second = run_of(cluster)
    assert second.wait(120) == 0, second.said()  # it waits until the lease of the first is over
    assert "completed x" in second.said().splitlines()
    assert len(cluster.effects()) == 2


def test_a_run_that_is_told_to_stop_lets_its_job_end_and_leaves_the_others(cluster: Cluster) -> None:
    command(cluster, "import held\nfor n in 'xyz': held.master.insert_job('held', 'hold', 0, {'name': n})")
    first = cluster.start("run", [COMMAND, "run-until-empty", "held", "--slots", "2"], cluster.settings)
    until(lambda: len(cluster.effects()) == 2, "two jobs begin")
    first.send(signal.SIGTERM)
    (cluster.folder / "gate").touch()
    assert first.wait() == 1, first.said()
    assert len(cluster.effects()) == 2
    assert command(cluster, RUN_HELD).split() == ["completed", "z"]


def test_two_runs_share_the_jobs_and_none_runs_twice(make: Make, server: PostgresServer) -> None:
    cluster = make(STORE=f"{server.url}?schema={fresh_schema()}", **LONG)
    (cluster.folder / "held.py").write_text(dedent(HELD))
    command(cluster, "import held; held.master.deploy()")
    insert = "held.master.insert_job('held', 'hold', n % 3, {'name': str(n), 'letter': 'ALL'})"
    command(cluster, f"import held\nfor n in range(15): {insert}")
    runs = [run_of(cluster), run_of(cluster)]
    until(lambda: len({line.pid for line in cluster.effects()}) == 2, "both have begun one")
    (cluster.folder / "gate").touch()
    for run in runs:
        assert run.wait() == 0, run.said()
    began = [line.job for line in cluster.effects()]
    assert sorted(began) == sorted(f"{n}{letter}" for n in range(15) for letter in "abc")
    pids = {line.pid for line in cluster.effects()}
    assert pids == {run.pid for run in runs}
    ended = [line for run in runs for line in run.said().splitlines() if line.startswith("completed")]
    assert len(ended) == 60, "of 15 groups with 3 each"


def test_a_manager_and_workers_on_its_schema_do_its_jobs(make: Make, server: PostgresServer) -> None:
    schema = f"?schema={fresh_schema()}"
    cluster = make(EASYJOBS_STORE=server.url + schema, STORE=server.url + schema)
    (cluster.folder / "held.py").write_text(dedent(HELD))
    (cluster.folder / "gate").touch()
    command(cluster, "import held; held.master.deploy()")
    cluster.start_manager()
    env = {**cluster.worker_env("unused"), "STORE": server.url + schema, "PYTHONPATH": ""}
    worker = cluster.start("worker", [COMMAND, "worker", "held"], env)
    cluster.until_connected(worker)
    id = command(cluster, "import held; print(held.master.insert_job('held', 'hold', 0, {'name': 'x'}))").strip()
    assert cluster.end_of(id)["result"] == worker.pid
    worker.send(signal.SIGTERM)
    worker.wait()
    id = command(cluster, "import held; print(held.master.insert_job('held', 'hold', 0, {'name': 'y'}))").strip()
    (reason, *_) = cluster.get(f"/api/jobs/{id}/explain")["reasons"]
    assert reason["code"] == "no_worker"
    assert "completed y" in command(cluster, RUN_HELD)
    assert cluster.end_of(id)["state"] == "completed"
