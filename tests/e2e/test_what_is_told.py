"""What a job tells is readable while it runs."""

from __future__ import annotations

from support import Cluster, until


def texts(cluster: Cluster, id: str) -> list[tuple[str, str]]:
    return [(line["level"], line["text"]) for line in cluster.logs(id)]


def test_logs_and_progress_of_a_running_job(home: Cluster) -> None:
    gate = home.gate()
    id = home.submit("home", "chatty", {"gate": str(gate)})

    until(lambda: home.job(id)["progress"], "its progress shows")
    until(lambda: len(home.logs(id)) == 3, "three lines are there")

    job = home.job(id)
    assert job["state"] == "running"
    assert job["progress"] == {"value": 0.4, "note": "two of five"}
    assert texts(home, id) == [("info", "from the job"), ("warning", "from logging"), ("info", "from a library")]
    assert {line["attempt"] for line in home.logs(id)} == {1}
    last = home.logs(id)[-1]["n"]
    assert home.get(f"/api/jobs/{id}/logs", after=last)["items"] == []
    gate.touch()
    ended = home.end_of(id)
    assert ended["progress"] == {"value": 1.0, "note": "all"}
    (line,) = home.get(f"/api/jobs/{id}/logs", after=last)["items"]
    assert (line["level"], line["text"]) == ("error", "the end")


def test_logging_inside_a_thread_is_captured_with_its_job_alone(home: Cluster) -> None:
    ids = [home.submit("home", "chatty_thread") for _ in range(5)]
    for id in ids:
        assert home.end_of(id)["result"] == "said"
        assert texts(home, id) == [("info", "from a thread")]


def test_a_late_reader_waits_for_the_end(home: Cluster) -> None:
    gate = home.gate()
    id = home.submit("home", "hold", {"gate": str(gate)})
    home.until_effect(id, "began")
    early = home.http.get(f"/api/jobs/{id}/result")
    assert (early.status_code, early.json()["state"]) == (202, "running")

    gate.touch()
    late = home.http.get(f"/api/jobs/{id}/result", params={"wait": 60})

    assert (late.status_code, late.json()["state"]) == (200, "completed")
    again = home.http.get(f"/api/jobs/{id}/result")
    assert again.json() == late.json()
