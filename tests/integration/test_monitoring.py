"""Webhooks at a real receiver: one that works, and ones that fail, hang, redirect, never end or are not there."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from serving import Play, on_a_socket, until

from easyjobs import EasyJobsManager, LogMonitor, SlackMonitor, WebhookMonitor
from easyjobs.errors import ConfigurationError
from easyjobs.monitors.configured import destinations
from easyjobs.monitors.courier import Undelivered
from easyjobs.monitors.reports import AlertReport, Heartbeat
from easyjobs.settings import WITHHELD, manager_settings

BEAT = Heartbeat(1_000_000.5, "here:1")
ALL = ("heartbeat_scheduler", "task_retry", "task_failed", "task_success", "alert")


class Receiver:
    """A server that keeps what is posted to it and answers as `answers` says, first to last, then 200: a status, or
    "hang", "drip", "endless"; `headers` go with every answer.
    """

    def __init__(self, *answers: Any, headers: dict[str, str] | None = None) -> None:
        self.answers = list(answers)
        self.headers = headers or {}
        self.got: list[dict[str, Any]] = []
        self.seen: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.over = asyncio.Event()
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.paths.append(f"{scope['method']} {scope['path']}")
        self.seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        self.got.append(json.loads(body))
        answer = self.answers.pop(0) if self.answers else 200
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        if answer == "hang":
            await self.over.wait()
        status = answer if isinstance(answer, int) else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if answer in ("drip", "endless"):
            chunk = b"." * (1 if answer == "drip" else 16_384)
            while not self.over.is_set():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(0.05 if answer == "drip" else 0)
        await send({"type": "http.response.body", "body": b"ok"})

    @asynccontextmanager
    async def there(self) -> AsyncIterator[Receiver]:
        async with on_a_socket(self, lifespan="off") as place:  # type: ignore[arg-type]
            self.url = f"http://{place}/hooks/S3CRET?key=S3CRET"
            try:
                yield self
            finally:
                self.over.set()


def fast(url: str, **how: Any) -> WebhookMonitor:
    return WebhookMonitor(url, **{"events": ALL, "pause": 0.01, "timeout": 5.0, **how})


async def failure_of(monitor: WebhookMonitor) -> str:
    with pytest.raises(Undelivered) as why:
        await monitor.heartbeat_scheduler(BEAT)
    await monitor.aclose()
    assert "S3CRET" not in str(why.value)
    return str(why.value).partition("…")[2].strip()


async def test_a_manager_tells_a_webhook_what_ends_here() -> None:
    async with Receiver().there() as receiver:
        hook = fast(receiver.url, headers={"Authorization": "Bearer x"})
        play = Play(monitors=[hook])
        async with play.served() as http:
            good = (await http.post("/api/queues/play/tasks/add?wait=5", json={"a": 1})).json()
            bad = (await http.post("/api/queues/play/tasks/boom?wait=5", json={"message": "<no>"})).json()
            await until(lambda: {told["event"] for told in receiver.got} >= {"task_success", "task_failed"})
        told = {message["event"]: message for message in receiver.got}
        success, failed = told["task_success"], told["task_failed"]
        assert success["id"] == good["id"]
        assert (success["queue"], success["task"], success["state"], success["error"]) == (
            "play",
            "add",
            "completed",
            None,
        )
        for name in ("created_at", "started_at", "finished_at", "run_at"):
            assert success[name] == good[name], "times are written as the API writes them"
        assert failed["error"]["message"] == "<no>"
        assert "boom" in failed["error"]["traceback"]
        assert {
            "id",
            "attempt",
            "max_attempts",
            "duration",
            "worker",
            "manager",
            "run",
            "node",
            "workflow",
        } <= failed.keys()
        assert receiver.paths[0] == "POST /hooks/S3CRET"
        seen = receiver.seen[receiver.got.index(failed)]
        assert seen["authorization"] == "Bearer x"
        assert seen["content-type"] == "application/json"
        assert seen["idempotency-key"] == f"{bad['id']}.1.task_failed"


async def test_what_may_help_is_tried_again_with_the_same_key() -> None:
    async with Receiver(503, 500, 429, headers={"Retry-After": "0"}).there() as receiver:
        hook = fast(receiver.url)
        await hook.heartbeat_scheduler(BEAT)
        await hook.aclose()
        assert len(receiver.got) == 4
        assert len({seen["idempotency-key"] for seen in receiver.seen}) == 1
        assert receiver.got[0] == {
            "event": "heartbeat_scheduler",
            "at": "1970-01-12T13:46:40.500000Z",
            "manager": "here:1",
        }


@pytest.mark.parametrize(
    ("answers", "why", "tries"),
    [
        ([404], "answered 404", 1),
        ([503] * 9, "answered 503", 3),
        ([302], "answered 302, and redirects are not followed", 1),
        (["hang"] * 9, "did not answer within 0.2 s", 3),
        (["drip"] * 9, "did not answer within 0.2 s", 3),
    ],
)
async def test_what_does_not_succeed_is_given_up_with_the_reason(answers: list[Any], why: str, tries: int) -> None:
    async with Receiver(*answers, headers={"Location": "/elsewhere"}).there() as receiver:
        assert await failure_of(fast(receiver.url, tries=3, timeout=0.2)) == why
        assert len(receiver.got) == tries
        assert set(receiver.paths) == {"POST /hooks/S3CRET"}


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async with Receiver("endless").there() as receiver:
        hook = fast(receiver.url)
        await hook.heartbeat_scheduler(BEAT)
        await hook.aclose()


async def test_nobody_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/S3CRET"
        assert await failure_of(fast(url, tries=2)) == "cannot be reached: ConnectError"


async def test_the_address_is_in_no_log_and_in_nothing_that_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Receiver(404).there() as receiver:
        hook = fast(receiver.url.replace("http://", "http://user:S3CRET@"))
        play = Play(monitors=[hook])
        async with play.served() as http:
            await http.post("/api/queues/play/tasks/add?wait=5", json={"a": 1})
            await until(lambda: receiver.got)
            await until(lambda: "could not be told" in caplog.text)
        assert "HTTP Request: POST http://127.0.0.1:" in caplog.text
        assert "S3CRET" not in caplog.text
        assert "S3CRET" not in repr(hook)


async def test_a_receiver_that_hangs_holds_up_neither_jobs_nor_the_end_of_a_manager() -> None:
    async with Receiver(*["hang"] * 99).there() as receiver:
        play = Play(monitors=[fast(receiver.url)])
        async with play.served() as http:
            for n in range(20):
                answer = await http.post("/api/queues/play/tasks/add?wait=5", json={"a": n})
                assert answer.json()["state"] == "completed"
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 15.0
        assert len(receiver.got) <= 2


async def test_slack_is_told_in_a_line_that_calls_nobody() -> None:
    async with Receiver().there() as receiver:
        play = Play(monitors=[SlackMonitor(receiver.url, channel="#jobs", pause=0.01)])
        async with play.served() as http:
            await http.post("/api/queues/play/tasks/add?wait=5", json={"a": 1})
            bad = (await http.post("/api/queues/play/tasks/boom?wait=5", json={"message": "<!channel> & all"})).json()
            play.manager.hub.alerts.open("schedule", "nightly", "x" * 5000)
            play.manager.hub.alerts.close("schedule", "nightly")
            await until(lambda: len(receiver.got) == 3)
        failed, alert, over = (message["text"] for message in receiver.got)
        assert receiver.got[0]["channel"] == "#jobs"
        assert failed.startswith("task play:boom failed on manager, attempt 1 of 1, after ")
        assert failed.endswith(f"job {bad['id']}: ValueError: &lt;!channel&gt; &amp; all")
        assert alert.startswith("alert schedule nightly: xxx")
        assert len(alert) == 3000
        assert over.startswith("alert schedule nightly is over, after 0 s: xxx")


async def test_the_log_has_a_line_for_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "my.jobs")
    play = Play(monitors=[LogMonitor("my.jobs")])
    async with play.served() as http:
        await http.post("/api/queues/play/tasks/boom?wait=5", json={})
        await http.post("/api/queues/play/tasks/add?wait=5", json={"a": 1})
        await until(lambda: "play:add completed" in caplog.text)
    lines = [record for record in caplog.records if record.name == "my.jobs"]
    assert {(record.levelname, record.event) for record in lines} == {  # type: ignore[attr-defined]
        ("DEBUG", "heartbeat_scheduler"),
        ("ERROR", "task_failed"),
        ("INFO", "task_success"),
    }


def test_urls_and_events_that_will_not_do() -> None:
    for url in ("ftp://host/x", "file:///etc/passwd", "http://", "//host", "no url", "http://[", ""):
        with pytest.raises(ConfigurationError, match="must be a URL of http or https"):
            WebhookMonitor(url)
    with pytest.raises(ConfigurationError, match="no event 'task_sucess'"):
        WebhookMonitor("http://host/", events=("task_sucess",))
    with pytest.raises(ConfigurationError, match="1 try or more"):
        WebhookMonitor("http://host/", tries=0)
    with pytest.raises(ConfigurationError, match="headers of a monitor"):
        WebhookMonitor("http://host/", headers={"a": 1})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="told nothing"):
        EasyJobsManager("a secret that is long enough", store="memory:", monitors=[object()])


def test_destinations_of_the_environment() -> None:
    environ = {"EASYJOBS_WEBHOOK_URL": "https://a.test/1", "EASYJOBS_SLACK_WEBHOOK": "https://hooks.test/services/2"}
    mine = LogMonitor(events="alert")
    found = destinations([mine], manager_settings(environ))
    assert found[0] is mine
    assert [repr(one) for one in found[1:]] == [
        "WebhookMonitor(https://a.test/…)",
        "SlackMonitor(https://hooks.test/…)",
    ]
    assert destinations([], manager_settings({})) == []
    withheld = dict.fromkeys(environ, WITHHELD)
    assert destinations([], manager_settings(withheld)) == [], "a child process that loads the module makes a manager"
    with pytest.raises(ConfigurationError):
        destinations([], manager_settings({"EASYJOBS_WEBHOOK_URL": "no url"}))


async def test_alerts_of_one_subject_have_keys_of_their_own() -> None:
    async with Receiver().there() as receiver:
        hook = fast(receiver.url)
        for over in (False, True):
            await hook.alert(AlertReport("late", "a\nb", "…", 1.0, over, 2.0, "here:1"))
        await hook.aclose()
        assert len({seen["idempotency-key"] for seen in receiver.seen}) == 2
        assert Counter(message["over"] for message in receiver.got) == {False: 1, True: 1}
