"""Logs while they are written: followed through a manager's death, whole after a worker's, bounded always."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from support import COMMAND, PATIENCE, Cluster, Process, until

Make = Callable[..., Cluster]
MIB = 1_048_576


def start_talker(house: Cluster, name: str = "talker") -> Process:
    env = house.worker_env("talk")
    process = house.start(name, [COMMAND, "worker", "talkers:worker"], env)
    house.until_connected(process)
    return process


@pytest.fixture
def house(make: Make) -> Cluster:
    cluster = make()
    cluster.start_manager()
    return cluster


def follow(house: Cluster, id: str, *options: str) -> Process:
    env = {"EASYJOBS_SECRET": house.secret, "EASYJOBS_URL": house.url}
    return house.start("follow", [COMMAND, "jobs", "logs", id, "-f", *options], env)


def all_lines(house: Cluster, id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = house.get(f"/api/jobs/{id}/logs", after=after, limit=10_000)
        found += page["items"]
        after = page["next"]
    return found


def said(process: Process) -> list[str]:
    return [line for line in process.said().splitlines() if line.startswith("line ")]


def test_a_follower_and_a_worker_lose_and_repeat_no_line_when_the_manager_is_killed(house: Cluster) -> None:
    start_talker(house)
    steps = house.folder / "steps"
    steps.mkdir()
    id = house.submit("talk", "count", {"folder": str(steps), "steps": 300})
    reader = follow(house, id)
    for n in range(1, 301):
        (steps / str(n)).touch()
        if n in (60, 120, 180):
            seen = n - 20
            until(lambda: len(said(reader)) >= seen, f"{seen} lines were read")  # noqa: B023 - called here
            assert house.manager is not None
            house.manager.kill()
            for m in range(n + 1, n + 30):  # what is said while nobody listens
                (steps / str(m)).touch()
            house.start_manager()
    assert reader.wait() == 0
    expected = [f"line {n}" for n in range(1, 301)]
    assert said(reader) == expected
    assert [line["text"] for line in all_lines(house, id)] == expected
    assert "waiting for the manager" in reader.said()


def test_a_killed_worker_loses_only_what_it_had_not_sent(house: Cluster) -> None:
    worker = start_talker(house)
    steps = house.folder / "steps"
    steps.mkdir()
    id = house.submit("talk", "count", {"folder": str(steps), "steps": 10_000})
    for n in range(1, 101):
        (steps / str(n)).touch()
    until(lambda: len(all_lines(house, id)) == 100, "all that was said is stored, with no end in sight")
    worker.kill()
    house.until_state(id, "queued")
    lines = all_lines(house, id)
    assert [line["text"] for line in lines] == [f"line {n}" for n in range(1, 101)]
    (steps / "end-100").touch()
    start_talker(house, "second")
    assert house.end_of(id)["state"] == "failed"
    lines = all_lines(house, id)
    assert [(line["attempt"], line["text"]) for line in lines] == [
        (attempt, f"line {n}") for attempt in (1, 2) for n in range(1, 101)
    ]
    assert [line["n"] for line in lines] == list(range(1, 201))


def test_a_flood_keeps_its_head_and_its_tail_and_says_what_is_missing(house: Cluster) -> None:
    start_talker(house)
    gate = house.gate()
    id = house.submit("talk", "flood", {"lines": 40_000, "size": 200, "gate": str(gate)})
    until(
        lambda: any(line["text"] == "waiting" for line in all_lines(house, id)), "the newest lines come while it runs"
    )
    assert sum(len(line["text"]) for line in all_lines(house, id)) <= MIB
    gate.touch()
    assert house.end_of(id)["result"] == 40_000
    lines = all_lines(house, id)
    gaps = [line for line in lines if line["level"] == "gap"]
    texts = [line["text"] for line in lines if line["level"] != "gap"]
    assert 0.8 * MIB < sum(map(len, texts)) <= MIB
    assert texts[0].startswith("1 ")
    assert texts[-1] == "waiting"
    numbers = [int(text.split()[0]) for text in texts if text != "waiting"]
    assert numbers == sorted(set(numbers))
    told = sum(int(re.findall(r"\d+", gap["text"])[0]) for gap in gaps)
    assert lines[-1]["n"] == len(texts) + told
    ns = [line["n"] for line in lines]
    assert ns == sorted(set(ns))
    middle = lines[len(lines) // 2]["n"]
    rest = house.get(f"/api/jobs/{id}/logs", after=middle, limit=10_000)["items"]
    assert [line["n"] for line in rest] == [n for n in ns if n > middle][:10_000]


def test_lines_of_one_mebibyte_are_all_there(house: Cluster) -> None:
    start_talker(house)
    id = house.submit("talk", "flood", {"lines": 1000, "size": 1000})
    assert house.end_of(id)["result"] == 1000
    assert [line["text"].split()[0] for line in all_lines(house, id)] == [str(n) for n in range(1, 1001)]


def test_the_command_ends_as_the_job_does_and_ctrl_c_is_quiet(house: Cluster) -> None:
    start_talker(house)
    steps = house.folder / "steps"
    steps.mkdir()
    for name in ("1", "2", "end-2"):
        (steps / name).touch()
    id = house.submit("talk", "count", {"folder": str(steps), "steps": 5})
    failing = follow(house, id, "--times")
    assert failing.wait() == 1
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info +line 2$", failing.said(), re.MULTILINE)

    (steps / "end-2").unlink()
    waiting = house.submit("talk", "count", {"folder": str(steps), "steps": 5})
    cancelled, stopped = follow(house, waiting), follow(house, waiting, "--json")
    until(lambda: "line 2" in stopped.said() and "line 2" in cancelled.said(), "both follow")
    stopped.send(signal.SIGINT)
    assert stopped.wait() in (130, -signal.SIGINT)
    assert "Traceback" not in stopped.said()
    house.post(f"/api/jobs/{waiting}/cancel")
    assert cancelled.wait() == 3

    printed = house.run("jobs", "logs", id, "--json", "--after", "1")
    assert [json.loads(line)["text"] for line in printed.stdout.splitlines()] == ["line 2"]


def test_a_manager_that_is_told_to_stop_does_not_wait_for_its_readers(house: Cluster) -> None:
    worker = start_talker(house)
    id = house.submit("talk", "count", {"folder": str(house.folder), "steps": 1}, delay=3600)
    curl = ["curl", "-sN", "-H", f"Authorization: Bearer {house.secret}", f"{house.url}/api/jobs/{id}/logs?follow=1"]
    reading = subprocess.Popen(curl, stdout=subprocess.PIPE, text=True)
    assert reading.stdout is not None
    assert reading.stdout.readline() == "retry: 1000\n"
    assert house.manager is not None
    assert house.manager.terminate() == 0
    assert reading.wait(PATIENCE) == 0
    assert "event: end" not in reading.stdout.read()
    reading.stdout.close()
    assert "ERROR" not in house.manager.said(), "the server ended the stream itself, when it had waited long enough"
    assert worker.running
