"""`easyjobs jobs` against an HTTP server that says what a manager says, and some things that no manager says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from easyjobs.cli.commands import commands

SECRET = "a secret of many characters"
ID = "01a1fc89-100e-7364-addd-13e540021a88"


def a_job(**changes: Any) -> dict[str, Any]:
    job = {
        "id": ID,
        "queue": "etl",
        "task": "load",
        "state": "completed",
        "priority": 0,
        "args": [1, 2],
        "kwargs": {"table": "users"},
        "attempt": 1,
        "max_attempts": 2,
        "run_at": "2026-01-31T12:00:00Z",
        "created_at": "2026-01-31T12:00:00Z",
        "started_at": "2026-01-31T12:00:01.250000Z",
        "finished_at": "2026-01-31T12:00:02.500000Z",
        "worker": "host:7",
        "result": {"rows": 3},
        "error": None,
        "parent": None,
        "run": None,
        "key": None,
        "progress": None,
    }
    return {**job, **changes}


def a_problem(status: int, title: str, detail: str, errors: list[Any] | None = None) -> tuple[int, Any]:
    return status, {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors or []}


class Server:
    """Answers each `METHOD /path` as it was told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.credentials: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                url = urlsplit(self.path)
                server.asked.append((f"{self.command} {url.path}", parse_qs(url.query)))
                server.credentials.append(self.headers.get("Authorization"))
                status, body = server.answers.get(f"{self.command} {url.path}", a_problem(404, "Not found", "No job."))
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = respond

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
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EASYJOBS_URL", "EASYJOBS_MANAGER_URL", "EASYJOBS_MANAGER_SECRET", "EASYJOBS_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EASYJOBS_SECRET", SECRET)


def call(server: Server | str, *arguments: str) -> Result:
    url = server if isinstance(server, str) else server.url
    result = CliRunner().invoke(commands, ["jobs", "--url", url, *arguments])
    assert SECRET not in result.output
    return result


def failed(result: Result, *words: str) -> None:
    """It ended with 1 and one line on stderr that has all these words."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("Error: ")
    for word in words:
        assert word in result.stderr


# -- list


def test_a_list_is_a_table(server: Server) -> None:
    items = [a_job(), a_job(task="a_longer_name", worker=None), a_job(attempt=3)]  # the third follows a crash
    server.answers["GET /api/jobs"] = 200, {"items": items, "next": None}
    result = call(server, "list")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{'ID':<36}  QUEUE  TASK           STATE      ATTEMPT  WORKER  CREATED              TOOK",
        f"{ID}  etl    load           completed  1/2      host:7  2026-01-31 12:00:00  1.250 s",
        f"{ID}  etl    a_longer_name  completed  1/2              2026-01-31 12:00:00  1.250 s",
        f"{ID}  etl    load           completed  3        host:7  2026-01-31 12:00:00  1.250 s",
    ]
    assert result.stderr == ""


def test_an_empty_list_has_its_heads(server: Server) -> None:
    server.answers["GET /api/jobs"] = 200, {"items": [], "next": None}
    assert call(server, "list").stdout.split() == [
        "ID",
        "QUEUE",
        "TASK",
        "STATE",
        "ATTEMPT",
        "WORKER",
        "CREATED",
        "TOOK",
    ]


def test_filters_go_to_the_manager_as_they_are(server: Server) -> None:
    server.answers["GET /api/jobs"] = 200, {"items": [], "next": None}
    filters = ["--queue", "etl", "--state", "failed", "--text", "a&b=c d", "--since", "2026-01-01T00:00:00+01:00"]
    assert call(server, "list", *filters, "--limit", "7").exit_code == 0
    assert server.asked == [
        (
            "GET /api/jobs",
            {
                "queue": ["etl"],
                "state": ["failed"],
                "text": ["a&b=c d"],
                "since": ["2026-01-01T00:00:00+01:00"],
                "limit": ["7"],
            },
        )
    ]


def test_more_pages_are_told_on_stderr(server: Server) -> None:
    server.answers["GET /api/jobs"] = 200, {"items": [a_job()], "next": "abc.def"}
    assert call(server, "list").stderr == "there are more: --cursor abc.def\n"


def test_json_is_the_managers_answer(server: Server) -> None:
    page = {"items": [a_job(args=["\x1b[31m \u202e"])], "next": "x"}
    server.answers["GET /api/jobs"] = 200, page
    result = call(server, "list", "--json")
    assert json.loads(result.stdout) == page
    assert result.stdout.isascii()


# -- show


def test_show_tells_all_of_a_failure(server: Server) -> None:
    error = {"type": "ValueError", "message": "no such table", "traceback": "Traceback:\n  line 7\n"}
    server.answers[f"GET /api/jobs/{ID}"] = 200, a_job(state="failed", result=None, error=error, max_attempts=0)
    attempt = {"attempt": 1, "worker": "host:7", "started_at": "2026-01-31T12:00:01Z", "end": "failed", "error": error}
    server.answers[f"GET /api/jobs/{ID}/attempts"] = 200, {"items": [attempt]}
    result = call(server, "show", ID)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "error     ValueError: no such table" in lines
    assert "attempt   1 of any number" in lines
    assert 'kwargs    {"table": "users"}' in lines
    assert "1        failed  host:7  2026-01-31 12:00:01" in lines
    assert lines[-2:] == ["Traceback:", "  line 7"]
    assert not any(line.startswith("result") for line in lines)


def test_show_a_running_job_with_progress_and_all_pages_of_its_logs(server: Server) -> None:
    running = a_job(state="running", finished_at=None, result=None, progress={"value": 0.4, "note": "half"})
    server.answers[f"GET /api/jobs/{ID}"] = 200, running
    server.answers[f"GET /api/jobs/{ID}/attempts"] = 200, {"items": []}
    line = {"n": 1, "attempt": 1, "time": "2026-01-31T12:00:01Z", "level": "info", "text": "hello \x1b[2J"}
    server.answers[f"GET /api/jobs/{ID}/logs"] = 200, {"items": [line], "next": None}
    result = call(server, "show", ID, "--logs")
    assert "progress  0.4 half" in result.stdout.splitlines()
    assert result.stdout.endswith("2026-01-31 12:00:01 info hello \\x1b[2J\n")
    assert "took" not in result.stdout
    shown = json.loads(call(server, "show", ID, "--logs", "--json").stdout)
    assert shown == {**running, "attempts": [], "logs": [line]}


def test_nothing_from_users_reaches_the_terminal_raw(server: Server) -> None:
    evil = "\x1b]0;owned\x07 \u202e \x9b31m \r\n \u2028"
    error = {"type": evil, "message": evil, "traceback": evil}
    job = a_job(worker=evil, args=[evil], key=evil, error=error, progress={"value": 1, "note": evil})
    server.answers["GET /api/jobs"] = 200, {"items": [job], "next": evil}
    server.answers[f"GET /api/jobs/{ID}"] = 200, job
    server.answers[f"GET /api/jobs/{ID}/attempts"] = 200, {"items": []}
    server.answers[f"POST /api/jobs/{ID}/cancel"] = a_problem(409, "Conflict", evil)
    for arguments in (["list"], ["show", ID], ["cancel", ID]):
        output = call(server, *arguments).output
        assert "owned" in output
        assert output.replace("\n", "").isprintable(), repr(output)


def test_an_id_cannot_leave_its_place_in_the_path(server: Server) -> None:
    call(server, "show", "../queues?x=1#y")
    assert server.asked[0] == ("GET /api/jobs/..%2Fqueues%3Fx%3D1%23y", {})


# -- cancel and retry


def test_cancel_says_what_became_of_each(server: Server) -> None:
    server.answers["POST /api/jobs/a/cancel"] = 200, a_job(state="cancelled")
    server.answers["POST /api/jobs/b/cancel"] = 202, a_job(state="running")
    result = call(server, "cancel", "a", "b")
    assert (result.exit_code, result.output) == (0, "a is cancelled\nb is being stopped\n")


def test_retry_prints_the_new_job_and_goes_on_after_a_refusal(server: Server) -> None:
    server.answers["POST /api/jobs/a/retry"] = a_problem(409, "Conflict", "The job is still running.")
    server.answers["POST /api/jobs/b/retry"] = 201, a_job(id="new")
    result = call(server, "retry", "a", "unknown", "b")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["Error: a: The job is still running.", "Error: unknown: No job."]
    assert result.stdout == "b runs again as new\n"
    assert [job["id"] for job in json.loads(call(server, "retry", "a", "b", "--json").stdout)] == ["new"]


# -- what may go wrong


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T12:30:00", "2026-01-31T12:30:00+00:00"),
        ("2026-01-31T12:30:00Z", "2026-01-31T12:30:00+00:00"),
        ("1769817600", "1769817600"),
    ],
)
def test_a_time_without_an_offset_is_in_utc(server: Server, given: str, asked: str) -> None:
    server.answers["GET /api/jobs"] = 200, {"items": [], "next": None}
    assert call(server, "list", "--since", given, "--until", given).exit_code == 0
    assert server.asked == [("GET /api/jobs", {"since": [asked], "until": [asked], "limit": ["50"]})]


def test_what_is_no_time_is_told_with_one(server: Server) -> None:
    result = call(server, "list", "--since", "soon")
    assert result.exit_code == 2
    assert "'soon' is no time; write 2026-01-31, " in result.stderr
    assert server.asked == []


def test_where_workers_find_the_manager_a_command_does_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYJOBS_MANAGER_URL", server.url.replace("http", "ws"))
    server.answers["GET /api/jobs"] = 200, {"items": [], "next": None}
    assert CliRunner().invoke(commands, ["jobs", "list"]).exit_code == 0
    server.answers["GET /elsewhere/api/jobs"] = 404, b"Not Found"
    monkeypatch.setenv("EASYJOBS_URL", f"{server.url}/elsewhere")
    failed(CliRunner().invoke(commands, ["jobs", "list"]), "(404) is no manager", "EASYJOBS_URL or --url")
    assert [path for path, _ in server.asked] == ["GET /api/jobs", "GET /elsewhere/api/jobs"]


def test_an_unknown_job(server: Server) -> None:
    failed(call(server, "show", ID), "No job.")


def test_a_refused_value_is_told_with_its_place_once(server: Server) -> None:
    fault = {"loc": ["query", "since"], "message": "not a time"}
    server.answers["GET /api/jobs"] = a_problem(422, "Unprocessable", "query.since: not a time", [fault])
    result = call(server, "list", "--since", "2026-01-01T00:00:00Z")
    failed(result, "query.since: not a time")
    assert result.stderr.count("not a time") == 1


def test_a_wrong_secret_and_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["GET /api/jobs"] = a_problem(401, "Unauthorized", "no")
    failed(call(server, "list"), "refused the secret", server.url)
    monkeypatch.delenv("EASYJOBS_SECRET")
    failed(call(server, "list"), "EASYJOBS_SECRET", "--secret-file")
    assert server.credentials == [f"Bearer {SECRET}", None]


def test_a_wrong_secret_is_told_once_for_many_jobs(server: Server) -> None:
    server.answers["POST /api/jobs/a/cancel"] = a_problem(401, "Unauthorized", "no")
    failed(call(server, "cancel", "a", "b", "c"), "refused the secret")


def test_a_secret_from_a_file(server: Server, tmp_path: Path) -> None:
    server.answers["GET /api/jobs"] = 200, {"items": [], "next": None}
    file = tmp_path / "secret"
    file.write_text("gehëim\n", encoding="utf-8")
    arguments = ["jobs", "--url", server.url, "--secret-file", str(file), "list"]
    assert CliRunner().invoke(commands, arguments).exit_code == 0
    (seen,) = server.credentials
    assert seen is not None
    assert seen.encode("latin-1").decode() == "Bearer gehëim"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b" \n", "is empty"), (b"\xff\xfe", "not UTF-8")]
)
def test_a_secret_file_that_will_not_do(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    result = CliRunner().invoke(commands, ["jobs", "--secret-file", str(file), "list"])
    failed(result, words, str(file))


def test_nobody_listens() -> None:
    failed(call("http://127.0.0.1:1", "list"), "no manager answers at http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>hello</html>"), (502, b"Bad Gateway"), (301, b""), (404, b'{"detail":"Not Found"}')],
)
def test_something_else_answers(server: Server, status: int, body: bytes) -> None:
    server.answers["GET /api/jobs"] = status, body
    failed(call(server, "list"), f"({status}) is no manager")


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://host:notaport", "http://user:pw@host"])
def test_a_url_that_will_not_do(url: str) -> None:
    result = call(url, "list")
    failed(result, "manager_url")
    assert "pw" not in result.stderr


def test_a_secret_does_not_cross_an_open_network(server: Server) -> None:
    failed(call("http://jobs.example", "list"), "https", "--insecure")


def test_a_prefix_is_part_of_the_url(server: Server) -> None:
    server.answers["GET /under/here/api/jobs"] = 200, {"items": [], "next": None}
    assert call(f"{server.url}/under/here/", "list").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [["list", "--state", "unknown"], ["list", "--limit", "0"], ["show"], ["cancel"], ["nothing"], ["list", "--x"]],
)
def test_calling_it_wrongly_is_2(server: Server, arguments: list[str]) -> None:
    result = call(server, *arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_show_tells_where_a_job_stands_in_its_chain(server: Server) -> None:
    kin = {"parent": "p1", "relation": "after", "children": ["c1", "c2"], "waits_for": ["c2"]}
    server.answers[f"GET /api/jobs/{ID}"] = 200, a_job(state="waiting", **kin)
    server.answers[f"GET /api/jobs/{ID}/attempts"] = 200, {"items": []}
    lines = call(server, "show", ID).stdout.splitlines()
    assert {"parent    p1 (after)", "waits for c2", "children  c1, c2"} <= set(lines)
    server.answers[f"GET /api/jobs/{ID}"] = 200, a_job(parent="p1", children=["c"] * 1000)
    lines = call(server, "show", ID).stdout.splitlines()
    assert {"parent    p1 (made it)", f"children  1000 jobs; easyjobs jobs tree {ID}"} <= set(lines)


def test_tree_draws_the_chain(server: Server) -> None:
    item = {"id": ID, "queue": "etl", "task": "load", "state": "completed", "depth": 0, "relation": None, "error": None}
    tree = {"root": ID, "items": [item], "cut": True}
    server.answers[f"GET /api/jobs/{ID}/tree"] = 200, tree
    result = call(server, "tree", ID)
    assert (result.exit_code, result.stdout) == (0, f"load  completed  {ID}  <- this one\n")
    assert result.stderr == "there are more jobs than are drawn\n"
    assert json.loads(call(server, "tree", ID, "--json").stdout) == tree
