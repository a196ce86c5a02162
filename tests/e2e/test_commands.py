"""The `easyjobs` command: what it prints, how it ends, and that an error is one clear line."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from subprocess import CompletedProcess

from support import COMMAND, Cluster, free_port, until

Make = Callable[..., Cluster]


def assert_one_line(done: CompletedProcess[str], *words: str, code: int = 1) -> None:
    assert done.returncode == code, done
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


# -- jobs


def test_list_show_cancel_and_retry(home: Cluster) -> None:
    id = home.submit("home", "add", {"a": 40, "b": 2})
    home.end_of(id)
    late = home.submit("home", "mark", {"label": "late"}, delay=3600)

    listed = home.run("jobs", "list", "--queue", "home", "--task", "add", "--limit", "1")
    assert (listed.returncode, listed.stderr.count("Error")) == (0, 0)
    header, row = listed.stdout.splitlines()
    assert header.split()[:4] == ["ID", "QUEUE", "TASK", "STATE"]
    assert row.split()[:4] == [id, "home", "add", "completed"]
    assert json.loads(home.run("jobs", "list", "--state", "queued", "--json").stdout)["items"][0]["id"] == late

    shown = home.run("jobs", "show", id, "--logs")
    assert shown.returncode == 0
    assert '{"a": 40, "b": 2}' in shown.stdout
    assert any(line.split() == ["result", "42"] for line in shown.stdout.splitlines())
    assert json.loads(home.run("jobs", "show", id, "--json").stdout)["attempts"][0]["end"] == "completed"

    again = home.run("jobs", "retry", id)
    assert again.returncode == 0
    assert again.stdout.startswith(f"{id} runs again as ")
    assert home.end_of(again.stdout.split()[-1])["result"] == 42

    cancelled = home.run("jobs", "cancel", late, id)
    assert cancelled.returncode == 0
    assert cancelled.stdout.splitlines() == [f"{late} is cancelled", f"{id} is completed"]


def test_a_failed_job_shows_why(home: Cluster) -> None:
    id = home.submit("home", "gives_up")
    home.end_of(id)

    shown = home.run("jobs", "show", id)

    assert "NoRetry: there is no point" in shown.stdout
    assert "tasks.py" in shown.stdout


def test_errors_of_jobs_are_one_line(home: Cluster) -> None:
    waiting = home.submit("home", "add", {"a": 1}, delay=3600)
    unknown = "01234567-89ab-7def-8123-456789abcdef"
    assert_one_line(home.run("jobs", "show", unknown), unknown)
    assert_one_line(home.run("jobs", "cancel", "no-id"), "no-id")
    assert_one_line(home.run("jobs", "retry", waiting), "queued")
    assert_one_line(home.run("jobs", "list", secret="not the secret"), "refused the secret")
    assert_one_line(home.run("jobs", "list", port=free_port()), "no manager answers")
    home.post(f"/api/jobs/{waiting}/cancel")


def test_a_wrong_call_ends_with_two(home: Cluster) -> None:
    for arguments in (("jobs", "list", "--state", "odd"), ("jobs", "show"), ("no-such-command",), ("worker",)):
        done = home.run(*arguments)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr


# -- manager


def test_a_manager_ends_well_when_it_is_told_to(make: Make) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        cluster = make()
        manager = cluster.start_manager()
        manager.send(number)
        assert manager.wait() == 0
        assert "Traceback" not in manager.said()


def test_a_manager_without_a_secret_makes_one(make: Make) -> None:
    cluster = make()
    env = {k: v for k, v in cluster.settings.items() if k != "EASYJOBS_SECRET"}
    cluster.manager = cluster.start("manager", [COMMAND, "manager", "--port", str(cluster.port)], env)
    cluster.until_ready()
    said = until(lambda: "manager's is " in cluster.manager.said() and cluster.manager.said(), "it tells the secret")
    assert cluster.http.get("/api/jobs").status_code == 401
    cluster.use_secret(said.partition("manager's is ")[2].split()[0])
    assert cluster.get("/api/jobs")["items"] == []


def test_a_manager_that_cannot_start_says_why(house: Cluster) -> None:
    port = str(free_port())

    def message(*options: str) -> str:
        done = house.run("manager", *options)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr + done.stdout
        return done.stderr

    store = house.settings["EASYJOBS_STORE"]
    assert message("--port", port, "--store", store).count("in use by another manager") == 1
    assert "address already in use" in message("--port", str(house.port), "--store", "memory:")
    assert "nonsense" in message("--port", port, "--store", "nonsense:")
    assert "no-such-folder" in message("--port", port, "--store", "sqlite:///no-such-folder/jobs.db")
    assert "missing.txt" in message("--port", port, "--store", "memory:", "--secret-file", "missing.txt")
    assert house.get("/api/stats")["store"] == "SQLiteStore"


# -- worker


def test_a_worker_that_cannot_start_says_why(house: Cluster) -> None:
    assert_one_line(house.run("worker", "no_such_module"), "no_such_module")
    assert_one_line(house.run("worker", "some/where.py"), "write some.where")
    assert_one_line(house.run("worker", "json:dumps"), "json:dumps is no EasyJobsWorker")


def test_a_worker_takes_a_module_or_its_object(house: Cluster) -> None:
    env = house.worker_env("by-option")
    del env["EASYJOBS_JOBS_QUEUE"], env["EASYJOBS_MANAGER_URL"]
    url = f"ws://127.0.0.1:{house.port}"
    options = ["--manager-url", url, "--queue", "by-option", "--slots", "3", "--name", "ruth"]
    worker = house.start("worker", [COMMAND, "worker", "tasks", *options], env)
    house.until_connected(worker)

    view = house.worker_of(worker)

    assert (view["name"], view["slots"], view["queues"]) == ("ruth", 3, ["by-option"])
    assert house.post("/api/queues/by-option/tasks/add", {"a": 1}, wait=60)["worker"] == "ruth"
    assert worker.terminate() == 0
    assert house.run("worker", "tasks:nothing").returncode == 1


def test_a_worker_with_a_wrong_secret_says_so_and_waits(house: Cluster) -> None:
    worker = house.start_worker("wrong", wait=False, EASYJOBS_MANAGER_SECRET="not the secret")
    until(lambda: "refused" in worker.said(), "it says that it is refused")
    assert worker.terminate() == 0
    assert "Traceback" not in worker.said()


def test_a_worker_without_a_manager_waits_for_it(make: Make) -> None:
    cluster = make()
    early = cluster.start_worker("early", wait=False)
    until(lambda: "no manager" in early.said(), "it says that there is none")
    cluster.start_manager()
    cluster.until_connected(early)
    assert cluster.post("/api/queues/early/tasks/add", {"a": 1}, wait=60)["result"] == 2
    assert "Traceback" not in early.said()
