"""Jobs that make jobs: their slots, and who is whose parent."""

from __future__ import annotations

from support import Cluster


def test_eight_jobs_that_await_a_job_of_their_queue_finish_with_one_slot(house: Cluster) -> None:
    house.start_worker("narrow", 1)
    jobs = [{"queue": "narrow", "task": "family", "kwargs": {"n": n}} for n in range(8)]
    made = house.post("/api/jobs", jobs)["items"]

    results = [house.end_of(job["id"])["result"] for job in made]

    assert results == [2 * n + 1 for n in range(8)]
    for job in made:
        assert house.ends(job["id"]) == ["completed"]


def test_functions_in_threads_may_await_jobs_too(house: Cluster) -> None:
    house.start_worker("threads", 1, EASYJOBS_THREADS="1")
    jobs = [{"queue": "threads", "task": "family_in_thread", "kwargs": {"n": n}} for n in range(4)]
    made = house.post("/api/jobs", jobs)["items"]

    assert [house.end_of(job["id"])["result"] for job in made] == [1, 3, 5, 7]


def test_a_job_knows_its_parent(home: Cluster) -> None:
    parent = home.submit("home", "family", {"n": 5})
    assert home.end_of(parent)["parent"] is None

    doubles = home.get("/api/jobs", queue="home", task="double", limit=1000)["items"]
    children = [job for job in doubles if job["parent"] == parent]
    assert len(children) == 1
    assert children[0]["args"] == [5]
    assert children[0]["result"] == 10
