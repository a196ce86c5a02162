"""`easyjobs run jobs.json` as a process: what runs, who is told, how it ends, and what outlives its death."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import COMMAND, SECRET, Cluster, Process, free_port, until

NOBODYS = "00000000-0000-7000-8000-000000000000"

Make = Callable[..., Cluster]

SAYS = """import json, os, sys, time
from pathlib import Path
name, *words = sys.argv[1:]
Path(f"began-{name}").touch()
if words[:1] == ["wait"]:
    while not Path(words[1]).exists():
        time.sleep(0.02)
print("== RESULT START ==")
print(json.dumps({"status": "success", "output_url": f"file:///{name}", "args": "hides nothing"}))
print("== RESULT END ==")
"""
PRINTS = {
    "none.sh": "echo no markers",
    "two.sh": 'for i in 1 2; do echo "== RESULT START =="; echo "{}"; echo "== RESULT END =="; done',
    "bad.sh": 'echo "== RESULT START =="; echo "{"; echo "== RESULT END =="',
    "other.sh": 'echo "== RESULT START =="; echo \'{"status": "no"}\'; echo "== RESULT END =="',
    "exit.sh": "echo the last word; exit 3",
}
GOOD = 'echo "== RESULT START =="; echo "{\\"status\\": \\"success\\", \\"n\\": $#}"; echo "== RESULT END =="'

EVENTS = """
import json
from pathlib import Path

class Events:
    def on_task_ready(self, t):
        self.say("ready", t)
        t["args"] = [f"{t['job']['name']}-{t.step}", *t["job"].get("words", [])]
        for p in t["parents"]:
            t["args"].append(p.get("output_url", "nothing"))

    async def on_task_complete(self, t):
        t["seen"] = len(t["parents"])
        self.say("complete", t)

    def on_task_fail(self, t):
        self.say("fail", t, t["error"]["type"], t["error"]["message"])

    def say(self, event, t, *more):
        with Path("told").open("a") as file:
            file.write(json.dumps([event, t["job"]["name"], t.script, t["args"], *more]) + "\\n")
"""


class Folder:
    """A folder with scripts, in which the command is run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file("says.py", SAYS)
        self.file("good.sh", GOOD)
        for name, text in PRINTS.items():
            self.file(name, text)
        self.file("events.py", EVENTS)
        ours = {k: v for k, v in os.environ.items() if not k.startswith("EASYJOBS_")}
        self.env = {**ours, "EASYJOBS_LEASE": "5", "EASYJOBS_HEARTBEAT": "1", "EASYJOBS_GRACE": "1"}
        self.processes: list[Process] = []

    def file(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def jobs(self, *jobs: dict[str, Any]) -> None:
        self.file("jobs.json", json.dumps(jobs))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "run", *arguments],
            env=self.env,
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str) -> Process:
        process = Process(f"run-{len(self.processes)}", [COMMAND, "run", *arguments], self.env, self.path)
        self.processes.append(process)
        return process

    def schedule(self, *arguments: str) -> Process:
        command = [COMMAND, "schedule", "jobs.json", *arguments]
        process = Process(f"schedule-{len(self.processes)}", command, self.env, self.path)
        self.processes.append(process)
        return process

    def told(self) -> list[list[Any]]:
        file = self.path / "told"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def until_began(self, *names: str) -> None:
        until(lambda: all((self.path / f"began-{name}").exists() for name in names), f"{names} have begun")

    def until_id(self, process: Process) -> str:
        """The id of the run that a process has begun."""
        until(lambda: process.said().startswith("run ") and "\n" in process.said(), "it has begun")
        return process.said().split()[1]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "work").mkdir()
    folder = Folder(tmp_path / "work")
    yield folder
    for process in folder.processes:
        process.end()


def test_jobs_run_side_by_side_and_their_steps_in_order(folder: Folder) -> None:
    words = ["wait", "gate"]
    folder.jobs(
        {"name": "A", "steps": [["says.py", "says.py"], "good.sh"], "words": words},
        {"name": "B", "steps": ["says.py"], "words": words},
    )
    process = folder.start("jobs.json", "--events", "events.py")
    folder.until_began("A-0", "B-0")
    until(lambda: [line[:2] for line in folder.told()].count(["ready", "A"]) == 2, "both of a step were begun")
    assert not any(line[0] == "complete" for line in folder.told())
    (folder.path / "gate").touch()
    assert process.wait() == 0
    assert "completed after" in process.said()
    assert "4 completed" in process.said()
    told = folder.told()
    assert [line for line in told if line[2] == "good.sh"] == [
        ["ready", "A", "good.sh", []],
        ["complete", "A", "good.sh", ["A-1", "wait", "gate", "file:///A-0", "file:///A-0"]],
    ]
    assert len(told) == 8


def test_the_lower_number_goes_first(folder: Folder) -> None:
    folder.jobs(*({"name": f"P{n}", "steps": ["good.sh"], "priority": n} for n in (3, -1, 2, 0)))
    done = folder.run("jobs.json", "--slots", "1", "--json")
    scripts = json.loads(done.stdout)["scripts"]
    begun = sorted(range(4), key=lambda at: scripts[at]["started_at"])
    assert begun == [1, 3, 2, 0]


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="no Rscript here")
def test_a_script_in_r_gets_arguments_and_gives_a_result(folder: Folder) -> None:
    folder.file(
        "a.R",
        "a <- paste(commandArgs(trailingOnly = TRUE), collapse = '+')\n"
        'cat("== RESULT START ==", "\\n", sep = "")\n'
        'cat(sprintf(\'{"status": "success", "output_url": "%s"}\\n\', a))\n'
        'cat("== RESULT END ==", "\\n", sep = "")\n',
    )
    folder.jobs({"name": "R", "steps": ["says.py", "a.R", "says.py"]})
    done = folder.run("jobs.json", "--events", "events.py")
    assert done.returncode == 0, done.stderr
    assert folder.told()[-1][3] == ["R-2", "R-1+file:///R-0"]


@pytest.mark.parametrize("script", PRINTS)
def test_each_kind_of_failure_is_told_once_and_fails_the_run(folder: Folder, script: str) -> None:
    folder.jobs({"name": "Bad", "steps": [script, "good.sh"]}, {"name": "Good", "steps": ["good.sh"]})
    done = folder.run("jobs.json", "--events", "events.py:Events")
    assert done.returncode == 1
    assert f"Bad: {script}" in done.stderr
    assert "1 completed, 1 failed, 1 skipped" in done.stdout
    (told,) = [line for line in folder.told() if line[0] == "fail"]
    assert told[:4] == ["fail", "Bad", script, ["Bad-0"]]
    assert told[4] == ("ChildProcessError" if script == "exit.sh" else "ScriptFailed")
    assert not any(line[2] == "good.sh" and line[1] == "Bad" for line in folder.told())
    if script == "exit.sh":
        assert "the last word" in done.stderr


@pytest.mark.parametrize(
    ("event", "ran"), [("on_task_ready", False), ("on_task_complete", True)], ids=["ready", "complete"]
)
def test_an_event_that_raises_fails_its_script(folder: Folder, event: str, ran: bool) -> None:
    folder.file("wrong.py", f"def {event}(t):\n    raise ValueError('not today')\n" + TOLD)
    folder.file("says.sh", "touch ran; " + GOOD)
    folder.jobs({"name": "A", "steps": ["says.sh", "good.sh"]})
    done = folder.run("jobs.json", "--events", "wrong.py")
    assert done.returncode == 1
    assert f"{event}: ValueError: not today" in done.stderr
    assert "1 failed, 1 skipped" in done.stdout
    assert (folder.path / "ran").exists() == ran
    assert (folder.path / "told").read_text() == "fail says.sh ValueError\n"


TOLD = """
def on_task_fail(t):
    with open("told", "a") as file:
        file.write(f"fail {t.script} {t.error['type']}\\n")
"""


def test_arguments_that_no_script_can_have_fail_it(folder: Folder) -> None:
    folder.file("wrong.py", "def on_task_ready(t):\n    t['args'] = [None]\n")
    folder.jobs({"name": "A", "steps": ["good.sh"]})
    done = folder.run("jobs.json", "--events", "wrong.py")
    assert done.returncode == 1
    assert 'on_task_ready: TypeError: t["args"][0] must be text' in done.stderr


def test_when_telling_of_a_failure_fails_it_is_said_and_not_repeated(folder: Folder) -> None:
    folder.file("wrong.py", TOLD + "    raise RuntimeError('the mail is down')\n")
    folder.jobs({"name": "A", "steps": ["exit.sh"]})
    done = folder.run("jobs.json", "--events", "wrong.py")
    assert done.returncode == 1
    assert "on_task_fail failed: RuntimeError: the mail is down" in done.stderr
    assert (folder.path / "told").read_text() == "fail exit.sh ChildProcessError\n"


@pytest.mark.parametrize(
    ("jobs", "arguments", "said"),
    [
        ("[{]", [], "jobs.json, line 1, column 3"),
        ('[{"name": "A"}]', [], "[0].steps"),
        ('[{"name": "A", "steps": ["good.sh", "gone.py"]}]', [], "there is no gone.py"),
        ('[{"name": "A", "steps": ["../work/good.sh"]}]', [], "cannot name a script"),
        ('[{"name": "A", "steps": ["good.sh", "x.jl"]}]', [], "x.jl runs with nothing-of-this-name"),
        ('[{"name": "A", "steps": ["good.sh"]}]', ["--events", "gone.py"], "gone.py' of events"),
        ('[{"name": "A", "steps": ["good.sh"]}]', ["--events", "not a module"], "no module's name"),
        ('[{"name": "A", "steps": ["good.sh"]}]', ["--folder", "gone"], "cannot be read"),
        ('[{"name": "A", "steps": ["good.sh"]}]', ["--resume", "x"], "name a file of jobs, or a run"),
        (
            '[{"name": "A", "steps": ["good.sh"], "much": "' + "x" * 300_000 + '"}]',
            [],
            "jobs.json cannot be begun: The arguments are 300",
        ),
        pytest.param(
            json.dumps([{"name": "A", "steps": [["good.sh"] * 3334]}]),
            ["--events", "events.py"],
            "jobs.json: with events a run has at most 3333 scripts, not 3334",
            id="too many for events",
        ),
        (
            '[{"name": "A", "steps": ["good.sh"]}]',
            ["--events", "bad.py"],
            "bad.py cannot be loaded: SyntaxError: invalid syntax (",
        ),
        ('[{"name": "A", "steps": ["good.sh"]}]', ["--events", "ends.py"], "ends.py cannot be loaded: SystemExit: 3"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(folder: Folder, jobs: str, arguments: list[str], said: str) -> None:
    folder.file("good.sh", "touch ran; " + GOOD)
    folder.file("x.jl", "println()")
    folder.file("bad.py", "def (")
    folder.file("ends.py", "raise SystemExit(3)")
    folder.env["EASYJOBS_INTERPRETERS"] = ".jl=nothing-of-this-name"
    folder.file("jobs.json", jobs)
    done = folder.run("jobs.json", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not (folder.path / "ran").exists()


def test_each_of_several_scripts_that_cannot_run_has_its_line(folder: Folder) -> None:
    folder.jobs({"name": "A", "steps": ["gone.py", ["lost.py", "good.sh"]]})
    done = folder.run("jobs.json")
    assert [line.partition(" in ")[0] for line in done.stderr.splitlines()] == [
        "Error: there is no gone.py",
        "there is no lost.py",
    ]
    assert folder.run("jobs.json", "--folder", "gone").stderr.count("\n") == 1, (
        "what is wrong with all of them is said once"
    )


def test_a_run_that_a_store_does_not_have_is_looked_for_elsewhere(folder: Folder) -> None:
    done = folder.run("--resume", NOBODYS, "--store", "sqlite:///other.db")
    assert done.returncode == 2
    assert f"there is no run {NOBODYS} in sqlite:///other.db: say where it is, --store URL" in done.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    return "sqlite:///runs.db" if request.param == "sqlite" else str(request.getfixturevalue("store_url"))


def test_a_killed_run_is_taken_up_where_it_was(folder: Folder, store: str) -> None:
    folder.jobs({"name": "A", "steps": ["good.sh", "says.py", "says.py"], "words": ["wait", "gate"]})
    killed = folder.start("jobs.json", "--events", "events.py", "--store", store)
    folder.until_began("A-1")
    id = folder.until_id(killed)
    killed.kill()
    (folder.path / "gate").touch()
    done = folder.run("--resume", id, "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    told = folder.told()
    assert [line[:3] for line in told].count(["complete", "A", "good.sh"]) == 1  # it was not run again
    assert told[-1] == ["complete", "A", "says.py", ["A-2", "wait", "gate", "file:///A-1"]]
    scripts = json.loads(done.stdout)["scripts"]
    assert [one["state"] for one in scripts] == ["completed"] * 3
    assert [one["attempt"] for one in scripts] == [1, 2, 1]
    assert folder.run("--resume", id, "--store", store).returncode == 0  # it has ended: that is said
    assert folder.told() == told


def test_a_failure_that_nobody_was_told_of_is_told_when_the_run_is_taken_up(folder: Folder) -> None:
    """It is killed inside `on_task_fail`."""
    folder.file(
        "dies.py",
        "import os, pathlib\n" + TOLD + "    if not pathlib.Path('again').exists():\n"
        "        pathlib.Path('again').touch()\n        os.kill(os.getpid(), 9)\n",
    )
    folder.jobs({"name": "A", "steps": ["exit.sh"]})
    killed = folder.start("jobs.json", "--events", "dies.py", "--store", "sqlite:///runs.db")
    id = folder.until_id(killed)
    assert killed.wait() == -signal.SIGKILL
    done = folder.run("--resume", id, "--store", "sqlite:///runs.db")
    assert done.returncode == 1
    assert (folder.path / "told").read_text() == "fail exit.sh ChildProcessError\n" * 2


def test_ctrl_c_cancels_a_run_that_is_here(folder: Folder) -> None:
    folder.jobs({"name": "A", "steps": ["says.py", "good.sh"], "words": ["wait", "never"]})
    process = folder.start("jobs.json", "--events", "events.py")
    folder.until_began("A-0")
    process.send(signal.SIGINT)
    assert process.wait() == 130
    assert "2 cancelled" in process.said()
    assert not any(line[0] == "fail" for line in folder.told())


def test_ctrl_c_twice_leaves_at_once_though_the_store_answers_nobody(folder: Folder) -> None:
    folder.jobs({"name": "A", "steps": ["says.py"], "words": ["wait", "never"]})
    process = folder.start("jobs.json", "--events", "events.py")
    folder.until_began("A-0")
    id = folder.until_id(process)
    with (folder.path / "easyjobs.db.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a process that is stopped in the middle of a transaction
        process.send(signal.SIGINT)
        until(lambda: "cancelling" in process.said(), "it cancels")
        process.send(signal.SIGINT)
        until(lambda: "it has not ended" in process.said(), "it leaves")
    assert process.wait() == 130
    assert f"it has not ended: --resume {id} takes it up" in process.said()
    assert "Traceback" not in process.said()


def test_a_run_goes_on_when_nobody_reads_any_more(folder: Folder) -> None:
    """As after `easyjobs run jobs.json | head -1`."""
    folder.jobs({"name": "A", "steps": ["says.py", "good.sh"], "words": ["wait", "gate"]})
    command = [COMMAND, "run", "jobs.json", "--events", "events.py"]
    with subprocess.Popen(
        command, cwd=folder.path, env=folder.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("run ")
        process.stdout.close()
        (folder.path / "gate").touch()
        assert process.wait(30) == 0, process.stderr.read()
    assert folder.told()[-1][:3] == ["complete", "A", "good.sh"]


def test_a_run_may_leave_nothing_behind(folder: Folder) -> None:
    folder.jobs({"name": "A", "steps": ["good.sh"]})
    before = sorted(folder.path.iterdir())
    assert folder.run("jobs.json", "--store", "memory:").returncode == 0
    assert sorted(folder.path.iterdir()) == before


def test_what_was_known_for_one_run_goes_with_its_jobs(folder: Folder) -> None:
    folder.env["EASYJOBS_KEEP_COMPLETED"] = "0.01"
    folder.jobs({"name": "A", "steps": ["good.sh", "says.py"]})
    for _ in range(6):
        done = folder.run("jobs.json", "--events", "events.py")
        assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(folder.path / "easyjobs.db")) as store:
        tasks = store.execute("SELECT queue FROM tasks").fetchall()
    runs = {queue.removesuffix(".scripts") for (queue,) in tasks}
    assert len(runs) <= 4, "the last one's, whose jobs are there, and a few before it, of which not all is gone yet"


def test_a_run_is_repeated_from_where_it_failed_at_a_manager_on_the_same_store(folder: Folder, make: Make) -> None:
    """A manager that was there before the run has not heard of its workflow by itself."""
    cluster = make()
    cluster.start_manager()
    store = ["--store", f"sqlite:///{cluster.folder}/jobs.db"]
    folder.file("maybe.sh", "[ -e mended ] || exit 4; " + GOOD)
    folder.jobs({"name": "A", "steps": ["good.sh", "maybe.sh"]})
    failed = folder.run("jobs.json", "--events", "events.py", *store)
    assert failed.returncode == 1, failed.stderr
    id = failed.stdout.split()[1]
    assert len(cluster.get(f"/api/runs/{id}/tasks")["items"]) == 6
    repeated = cluster.post(f"/api/runs/{id}/retry")["id"]
    (folder.path / "mended").touch()
    done = folder.run("--resume", repeated, *store)
    assert done.returncode == 0, done.stderr
    assert [line[2] for line in folder.told() if line[0] == "complete"] == ["good.sh", "maybe.sh"]


# -- on a cluster


@pytest.fixture
def cluster(house: Cluster, folder: Folder) -> Cluster:
    house.until_connected(
        house.start(
            "scripts",
            [COMMAND, "worker", "--scripts", str(folder.path), "--queue", folder.path.parent.name],
            {
                "EASYJOBS_MANAGER_SECRET": SECRET,
                "EASYJOBS_MANAGER_URL": f"ws://127.0.0.1:{house.port}",
                "EASYJOBS_MAX_TASKS_PER_WORKER": "4",
            },
        )
    )
    folder.env["EASYJOBS_SECRET"] = SECRET
    return house


def there(cluster: Cluster, folder: Folder) -> list[str]:
    return ["--manager", cluster.url, "--queue", folder.path.parent.name]


def test_on_a_cluster_its_workers_run_the_scripts_and_we_tell_the_events(folder: Folder, cluster: Cluster) -> None:
    folder.jobs({"name": "A", "steps": ["says.py", "good.sh"]}, {"name": "B", "steps": ["exit.sh"]})
    done = folder.run("jobs.json", "--events", "events.py", *there(cluster, folder))
    assert done.returncode == 1, done.stderr
    assert "2 completed, 1 failed" in done.stdout
    told = folder.told()
    assert ["complete", "A", "good.sh", ["A-1", "file:///A-0"]] in told
    assert [line[2] for line in told if line[0] == "fail"] == ["exit.sh"]


def test_a_run_on_a_cluster_waits_for_its_events_and_is_taken_up(folder: Folder, cluster: Cluster) -> None:
    folder.jobs({"name": "A", "steps": ["says.py", "good.sh"], "words": ["wait", "gate"]})
    killed = folder.start("jobs.json", "--events", "events.py", *there(cluster, folder))
    folder.until_began("A-0")
    id = folder.until_id(killed)
    killed.kill()
    (folder.path / "gate").touch()
    nodes = f"/api/runs/{id}/tasks"
    until(
        lambda: {one["name"]: one["state"] for one in cluster.get(nodes)["items"]}["A/says.py"] == "completed",
        "the script goes on without us",
    )
    assert cluster.get(f"/api/runs/{id}")["state"] == "running"
    done = folder.run("--resume", id, "--manager", cluster.url)
    assert done.returncode == 0, done.stderr
    assert folder.told()[-1] == ["complete", "A", "good.sh", ["A-1", "wait", "gate", "file:///A-0"]]


def test_ctrl_c_leaves_a_run_on_a_cluster_alone(folder: Folder, cluster: Cluster) -> None:
    folder.jobs({"name": "A", "steps": ["says.py"], "words": ["wait", "gate"]})
    process = folder.start("jobs.json", "--events", "events.py", *there(cluster, folder))
    folder.until_began("A-0")
    process.send(signal.SIGINT)
    assert process.wait() == 130
    id = folder.until_id(process)
    assert f"--resume {id}" in process.said()
    assert cluster.get(f"/api/runs/{id}")["state"] == "running"
    (folder.path / "gate").touch()
    assert folder.run("--resume", id, "--manager", cluster.url).returncode == 0


def test_a_script_that_no_worker_has_is_refused_before_anything_runs(folder: Folder, house: Cluster) -> None:
    folder.env["EASYJOBS_SECRET"] = SECRET
    folder.jobs({"name": "A", "steps": ["good.sh"]})
    done = folder.run("jobs.json", "--manager", house.url, "--queue", "nobody")
    assert done.returncode == 2
    assert "no worker of queue 'nobody' has good.sh" in done.stderr
    assert folder.run("jobs.json", "--manager", f"http://127.0.0.1:{free_port()}").returncode == 1


# -- by themselves


def schedules(cluster: Cluster, name: str) -> dict[str, Any]:
    return {one["id"]: one for one in cluster.get("/api/schedules")["items"] if one["queue"].startswith(f"{name}.")}


def test_jobs_run_by_themselves_each_every_so_many_days(folder: Folder, cluster: Cluster) -> None:
    """The ticks are fired by hand."""
    folder.jobs(
        {"name": "Daily", "steps": ["good.sh"]},
        {"name": "Weekly", "steps": ["exit.sh"], "frequency": 7},
        {"name": "Daily too", "steps": ["says.py"]},
    )
    name = folder.path.parent.name[:40]
    options = ["--at", "06:00", "--timezone", "Pacific/Auckland", "--from", "2030-01-31", "--name", name]
    process = folder.schedule(*options, "--events", "events.py", *there(cluster, folder))
    until(lambda: len(schedules(cluster, name)) == 2, "both are there")
    found = schedules(cluster, name)
    daily, weekly = sorted(found, key=lambda id: found[id]["every_days"])
    assert found[daily]["upcoming"][:2] == ["2030-01-30T17:00:00Z", "2030-01-31T17:00:00Z"]
    assert found[weekly]["upcoming"][:2] == ["2030-01-30T17:00:00Z", "2030-02-06T17:00:00Z"]
    for id in (daily, weekly):
        cluster.post(f"/api/schedules/{id}/run")
    until(lambda: process.said().count("\nrun ") == 2, "both runs have ended")
    assert "2 completed" in process.said()
    assert "every day, Pacific/Auckland, next 2030-01-31 06:00 NZDT, in " in process.said()
    assert sorted(line[:3] for line in folder.told() if line[0] != "ready") == [
        ["complete", "Daily", "good.sh"],
        ["complete", "Daily too", "says.py"],
        ["fail", "Weekly", "exit.sh"],
    ]
    process.end()

    folder.jobs({"name": "Daily", "steps": ["good.sh"]})
    folder.schedule(*options, "--events", "events.py", *there(cluster, folder))
    until(
        lambda: (
            [one["every_days"] for one in schedules(cluster, name).values()] == [1]
            and daily not in schedules(cluster, name)
        ),
        "the new jobs have taken the place of the old",
    )


def test_a_run_of_a_schedule_is_taken_up_by_hand_and_the_schedule_stays(folder: Folder, cluster: Cluster) -> None:
    folder.jobs({"name": "Daily", "steps": ["says.py", "good.sh"], "words": ["wait", "gate"]})
    name = folder.path.parent.name[:40]
    options = ["--at", "06:00", "--from", "2030-01-31", "--name", name, "--events", "events.py"]
    process = folder.schedule(*options, *there(cluster, folder))
    until(lambda: schedules(cluster, name), "it is there")
    (id,) = schedules(cluster, name)
    cluster.post(f"/api/schedules/{id}/run")
    folder.until_began("Daily-0")
    process.kill()
    (folder.path / "gate").touch()
    queue = id.partition(":")[0]
    (run,) = cluster.get("/api/runs", queue=queue)["items"]
    done = folder.run("--resume", run["id"], "--manager", cluster.url)
    assert done.returncode == 0, done.stderr
    assert list(schedules(cluster, name)) == [id]
    assert queue in {one["queue"] for one in cluster.get("/api/workflows")["items"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--at", "25:00"], "no time of day"),
        (["--at", "6:00", "--timezone", "Mars/North"], "no time zone"),
        (["--at", "6:00", "--from", "31.1.2026"], "'31.1.2026' is no day: 2026-01-31"),
    ],
)
def test_a_time_that_is_none_is_refused(folder: Folder, arguments: list[str], said: str) -> None:
    folder.jobs({"name": "A", "steps": ["good.sh"]})
    process = folder.schedule(*arguments)
    assert process.wait() == 2
    assert said in process.said()
