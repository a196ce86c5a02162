"""`easyjobs jobs logs` against a server that says what a manager says, and falls silent in the middle."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner, Result

from easyjobs.cli import logs
from easyjobs.cli.commands import commands

ID = "01a1fc89-100e-7364-addd-13e540021a88"


def line(n: int, text: str, level: str = "info") -> dict[str, Any]:
    return {"n": n, "attempt": 1, "time": "2026-01-31T12:00:00.123456Z", "level": level, "text": text}


def event(name: str, data: Any, id: int | None = None) -> str:
    return f"event: {name}\n" + (f"id: {id}\n" if id else "") + f"data: {json.dumps(data)}\n\n"


def said(*texts: str, first: int = 1) -> str:
    return "".join(event("log", line(n, text), n) for n, text in enumerate(texts, first))


def end(state: str) -> str:
    return event("end", {"id": ID, "state": state, "error": None})


class Streams:
    """Answers one request after the other as `script` says: text is a stream, a pair a status with a problem."""

    def __init__(self) -> None:
        self.script: list[str | tuple[int, Any]] = []
        self.asked: list[dict[str, str]] = []
        streams = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                assert url.path == f"/api/jobs/{ID}/logs"
                streams.asked.append(dict(parse_qsl(url.query)))
                answer = streams.script.pop(0)
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                self.send_response(status)
                self.end_headers()
                self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    monkeypatch.setenv("EASYJOBS_SECRET", "a secret of many characters")
    monkeypatch.setattr(logs, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(logs, "LONGEST_PAUSE", 0.004)
    streams = Streams()
    yield streams
    streams.close()


def call(server: Streams, *arguments: str) -> Result:
    return CliRunner().invoke(commands, ["jobs", "--url", server.url, "logs", ID, *arguments])


def problem(status: int, title: str) -> tuple[int, Any]:
    return status, {"title": title, "status": status, "detail": f"It is {title}.", "errors": []}


def test_what_is_there_is_printed_page_after_page(server: Streams) -> None:
    pages = [{"items": [line(1, "one")], "next": 1}, {"items": [line(2, "two")], "next": None}]
    server.script = [(200, page) for page in pages]
    result = call(server)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "one\ntwo\n", "")
    assert [asked["after"] for asked in server.asked] == ["0", "1"]


def test_only_what_comes_after_a_line_with_times_or_as_json(server: Streams) -> None:
    page = {"items": [line(8, "a\nb", "warning")], "next": None}
    server.script = [(200, page), (200, page)]
    assert call(server, "--after", "7", "--times").stdout == (
        "2026-01-31 12:00:00.123 warning  a\n2026-01-31 12:00:00.123 warning  b\n"
    )
    assert server.asked[0]["after"] == "7"
    assert json.loads(call(server, "--json").stdout) == line(8, "a\nb", "warning")


@pytest.mark.parametrize("follow", [True, False])
def test_nothing_that_a_terminal_would_obey_is_printed(server: Streams, follow: bool) -> None:
    evil = "\x1b[2J\x1b]0;title\x07 \u202e \r tab\tend\u2028\x85"
    server.script = [said(evil) + end("completed") if follow else (200, {"items": [line(1, evil)], "next": None})]
    result = call(server, *(["-f"] if follow else []))
    assert result.stdout.startswith("\\x1b[2J\\x1b]0;title\\x07 \\u202e \\r tab  ")
    assert result.stdout.endswith("end\\u2028\\x85\n")
    assert result.stdout[:-1].isprintable()


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("failed", 1), ("cancelled", 3), ("skipped", 3)])
def test_following_ends_with_the_job_and_as_it_did(server: Streams, state: str, code: int) -> None:
    progress = event("progress", {"value": 0.5, "note": "half \x1b"}) + event("progress", {"value": None, "note": ""})
    server.script = ["retry: 1000\n\n: still here\n\n" + said("one", "two") + progress + end(state)]
    result = call(server, "-f")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "one\ntwo\n", "…  50% half \\x1b\n…\n")
    assert server.asked == [{"follow": "1", "after": "0"}]


def test_a_manager_that_restarts_is_waited_for_and_asked_for_the_rest(server: Streams) -> None:
    server.script = [
        said("one", "two"),
        "",
        problem(503, "not ready"),
        said("three", first=3) + "event: log\nid: 4\ndata: {",
        said("four", first=4) + end("completed"),
    ]
    result = call(server, "--follow")
    assert (result.exit_code, result.stdout) == (0, "one\ntwo\nthree\nfour\n")
    assert [asked["after"] for asked in server.asked] == ["0", "2", "2", "2", "3"]
    assert "the connection ended; waiting for the manager" in result.stderr
    assert result.stderr.endswith("the manager is back\n")


def test_a_manager_that_is_not_there_is_not_waited_for() -> None:
    result = CliRunner().invoke(commands, ["jobs", "--url", "http://127.0.0.1:9", "logs", ID, "-f"])
    assert result.exit_code == 1
    assert "no manager answers" in result.stderr


@pytest.mark.parametrize("before", [[], [said("one")]])
def test_a_job_that_is_not_there_or_was_deleted_is_an_error(server: Streams, before: list[str]) -> None:
    server.script = [*before, problem(404, "gone")]
    result = call(server, "-f")
    assert result.exit_code == 1
    assert result.stderr.endswith("Error: It is gone.\n")


def test_what_is_no_manager_is_named_as_such(server: Streams) -> None:
    server.script = [(502, "<html>"), (401, "")]
    assert "is no manager" in call(server, "-f").stderr
    assert "refused the secret" in call(server, "-f").stderr


def test_ctrl_c_ends_it_without_a_word(server: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    server.script = [said("one")]

    class Interrupting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    made: Callable[[], threading.Event] = Interrupting
    monkeypatch.setattr(logs, "threading", type("threading", (), {"Event": made}))
    result = call(server, "-f")
    assert (result.exit_code, result.stdout) == (130, "one\n")
