"""Tasks, queues, workers and the manager over HTTP: looked at, paused, resumed."""

from __future__ import annotations

from serving import Play, until


async def test_tasks_tell_their_parameters_and_who_offers_them() -> None:
    async with Play().served() as http:
        tasks = {task["name"]: task for task in (await http.get("/api/tasks")).json()["items"]}
        assert list(tasks) == ["echo", "add", "boom", "patient", "talk"]
        add = tasks["add"]
        assert (add["queue"], add["kind"], add["available"], add["workers"]) == ("play", "async", True, 1)
        assert add["doc"].startswith("Adds.")
        assert add["parameters"]["properties"]["a"] == {"type": "integer"}
        assert add["parameters"]["required"] == ["a"]
        assert add["returns"] == {"type": "integer"}
        assert add["options"]["retries"] == 0


async def test_a_paused_queue_gives_out_nothing_until_it_is_resumed() -> None:
    play = Play()
    async with play.served() as http:
        for _ in range(2):
            paused = await http.post("/api/queues/play/pause")
            assert paused.json() == {"kind": "queue", "name": "play", "paused": True}
        url = (await http.post("/api/queues/play/tasks/add?wait=0.05", json={"a": 1})).headers["location"]
        assert (await http.get(url)).json()["state"] == "queued"
        queues = {queue["name"]: queue for queue in (await http.get("/api/queues")).json()["items"]}
        assert queues["play"]["queued"] == 1
        assert queues["play"]["tasks"] == 4
        assert queues["play"]["paused"]["by"] == "api@127.0.0.1"
        assert queues["other"]["paused"] is None
        for _ in range(2):
            assert (await http.post("/api/queues/play/resume")).json()["paused"] is False
        assert (await http.get(f"{url}/result?wait=10")).json()["result"] == 2


async def test_a_paused_task_leaves_its_neighbours_alone() -> None:
    async with Play().served() as http:
        paused = await http.post("/api/queues/play/tasks/add/pause")
        assert paused.json() == {"kind": "task", "name": "play:add", "paused": True}
        url = (await http.post("/api/queues/play/tasks/add", json={"a": 1})).headers["location"]
        assert (await http.post("/api/queues/play/tasks/talk?wait=10")).json()["state"] == "completed"
        assert (await http.get(url)).json()["state"] == "queued"
        await http.post("/api/queues/play/tasks/add/resume")
        assert (await http.get(f"{url}/result?wait=10")).json()["result"] == 2


async def test_a_worker_is_shown_paused_and_resumed() -> None:
    play = Play()
    async with play.served() as http:
        (worker,) = (await http.get("/api/workers")).json()["items"]
        assert (worker["name"], worker["state"], worker["slots"]) == ("manager", "live", 100)
        assert worker["queues"] == ["DEFAULT", "other", "play"]
        await http.post(f"/api/workers/{worker['id']}/pause")
        (worker,) = (await http.get("/api/workers")).json()["items"]
        assert (worker["state"], worker["paused"]["by"]) == ("paused", "api@127.0.0.1")
        url = (await http.post("/api/queues/play/tasks/add", json={"a": 1})).headers["location"]
        assert (await http.get(url)).json()["state"] == "queued"
        await http.post(f"/api/workers/{worker['id']}/resume")
        assert (await http.get(f"{url}/result?wait=10")).json()["result"] == 2


async def test_what_is_not_there_cannot_be_paused() -> None:
    async with Play().served() as http:
        for path in (
            "/api/queues/none",
            "/api/queues/play/tasks/none",
            "/api/queues/none/tasks/add",
            "/api/workers/none",
        ):
            for verb in ("pause", "resume"):
                answer = await http.post(f"{path}/{verb}")
                assert answer.status_code == 404, path
                assert answer.json()["instance"] == f"{path}/{verb}"


async def test_stats_count_what_happened() -> None:
    async with Play().served() as http:
        await http.post("/api/queues/play/tasks/add?wait=10", json={"a": 1})
        await http.post("/api/queues/play/tasks/boom?wait=10")
        stats = (await http.get("/api/stats")).json()
        assert stats["jobs"] == {"completed": 1, "failed": 1}
        assert (stats["workers"], stats["slots"], stats["running"]) == (1, 100, 0)
        assert stats["store"] == "MemoryStore"
        assert stats["counters"]["commits"] > 0


async def test_health_says_ready_only_between_start_and_stop() -> None:
    play = Play()
    play.manager.attach(play.app)
    async with play.client() as http:
        early = await http.get("/health/ready")
        assert (early.status_code, early.json()["detail"]) == (503, "The manager is not running.")
        async with play.served():
            assert (await http.get("/health/ready")).json() == {"status": "ready"}
            assert (await http.get("/health/live")).json() == {"status": "ok"}
        late = await http.get("/health/ready")
        assert late.status_code == 503
        assert late.headers["retry-after"] == "1"


async def test_a_manager_starts_again_after_it_stopped() -> None:
    play = Play()
    for n in (1, 2):
        async with play.served() as http:
            assert (await http.post("/api/queues/play/tasks/add?wait=10", json={"a": n})).json()["result"] == n + 1


async def test_a_task_declared_while_it_runs_can_be_called_at_once_it_is_known() -> None:
    play = Play()
    async with play.served() as http:

        @play.manager.task(namespace="late")
        async def newcomer() -> str:
            return "here"

        await until(lambda: play.manager.hub.catalog.has_queue("late"))
        assert (await http.post("/api/queues/late/tasks/newcomer?wait=10")).json()["result"] == "here"
        assert await newcomer() == "here"


async def test_all_workers_are_paused_and_resumed_with_one_word() -> None:
    play = Play()
    async with play.served() as http:
        for _ in range(2):
            paused = await http.post("/api/workers/pause")
            assert paused.json() == {"kind": "workers", "name": "all", "paused": True}
        assert (await http.get("/api/stats")).json()["paused"]["by"] == "api@127.0.0.1"
        (worker,) = (await http.get("/api/workers")).json()["items"]
        assert worker["state"] == "paused"
        url = (await http.post("/api/queues/play/tasks/add", json={"a": 1})).headers["location"]
        assert (await http.get(f"{url}/result?wait=0.05")).json()["state"] == "queued"
        assert (await http.post("/api/workers/resume")).json()["paused"] is False
        assert (await http.get("/api/stats")).json()["paused"] is None
        assert (await http.get(f"{url}/result?wait=10")).json()["result"] == 2


async def test_the_application_pauses_all_workers_and_a_worker_pauses_itself() -> None:
    play = Play()
    async with play.served() as http:
        await play.manager.toggle_workers(pause=True)
        assert (await http.get("/api/stats")).json()["paused"]["by"] == "the application"
        url = (await http.post("/api/queues/play/tasks/add", json={"a": 1})).headers["location"]
        worker = play.manager._embedded()
        await worker.toggle_workers(pause=True)
        await play.manager.toggle_workers(pause=False)
        (shown,) = (await http.get("/api/workers")).json()["items"]
        assert (shown["state"], shown["paused"]["by"]) == ("paused", "the worker manager")
        assert (await http.get(f"{url}/result?wait=0.05")).json()["state"] == "queued"
        await worker.toggle_workers(pause=False)
        assert (await http.get(f"{url}/result?wait=10")).json()["result"] == 2
