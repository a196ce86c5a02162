"""What a task knows of its job, and its logging captured with it."""

import contextvars
import logging
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from easyjobs.errors import NoCurrentJob
from easyjobs.tasks.context import CaptureHandler, JobContext, current_job, current_job_or_none, enter, leave
from easyjobs.tasks.safely import cut, text_of


class Notebook:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.steps: list[tuple[str, float | None, str]] = []

    def log(self, job_id: str, level: str, text: str) -> None:
        self.lines.append((job_id, level, text))

    def progress(self, job_id: str, value: float | None, note: str) -> None:
        self.steps.append((job_id, value, note))


@pytest.fixture(autouse=True)
def nobody_captures() -> None:
    """Workers that another test left standing, as if they had been killed, still do."""
    while CaptureHandler._users:
        CaptureHandler.remove()


@pytest.fixture
def notes() -> Notebook:
    return Notebook()


@pytest.fixture
def job(notes: Notebook) -> Iterator[JobContext]:
    context = JobContext("job-1", "q", "work", 2, 3, notes, token="secret")
    entered = enter(context)
    yield context
    leave(entered)


@contextmanager
def nobody_configured_logging() -> Iterator[logging.Logger]:
    """The root logger of a fresh process. In the test's body: pytest puts its own handlers on it just before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_outside_of_a_job_there_is_none() -> None:
    assert current_job_or_none() is None
    with pytest.raises(NoCurrentJob, match="outside of a job"):
        current_job()
    with pytest.raises(LookupError):
        current_job()


def test_inside_it_tells_who_it_is(job: JobContext) -> None:
    found = current_job()
    assert found is job
    assert current_job_or_none() is job
    assert (found.id, found.queue, found.task, found.attempt, found.max_attempts) == ("job-1", "q", "work", 2, 3)
    assert "secret" not in repr(found)


def test_log_and_progress_go_to_the_worker(job: JobContext, notes: Notebook) -> None:
    job.log("one")
    job.log("two", level="error")
    job.progress(0.5, "half")
    job.progress(None)
    job.progress(1)
    assert notes.lines == [("job-1", "info", "one"), ("job-1", "error", "two")]
    assert notes.steps == [("job-1", 0.5, "half"), ("job-1", None, ""), ("job-1", 1.0, "")]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "half", [], 10**400])
def test_progress_is_from_0_to_1(job: JobContext, value: Any) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        job.progress(value)


def test_an_unknown_level_is_refused(job: JobContext) -> None:
    with pytest.raises(ValueError, match="debug, info, warning, error, critical"):
        job.log("x", level="loud")  # type: ignore[arg-type]


def test_cancelled_can_be_read_in_a_thread_that_copied_the_context(job: JobContext) -> None:
    seen: list[bool] = []
    surroundings = contextvars.copy_context()
    job.request_cancel()
    thread = threading.Thread(target=lambda: seen.append(surroundings.run(lambda: current_job().cancelled)))
    thread.start()
    thread.join()
    assert seen == [True]


async def test_parked_is_what_the_worker_made_of_it(notes: Notebook) -> None:
    story: list[str] = []

    @asynccontextmanager
    async def park():
        story.append("slot given")
        yield
        story.append("slot taken")

    async with JobContext("j", "q", "t", 1, 1, notes, park=park).parked():
        story.append("waiting")
    assert story == ["slot given", "waiting", "slot taken"]
    async with JobContext("j", "q", "t", 1, 1, notes).parked():
        pass


def test_logging_inside_a_job_is_captured_with_its_level_and_traceback(
    job: JobContext, notes: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    CaptureHandler.install()
    try:
        logging.getLogger("app.part").warning("watch %s", "out")
        try:
            raise ValueError("boom")
        except ValueError:
            logging.getLogger("app").exception("failed")
    finally:
        CaptureHandler.remove()
    logging.getLogger("app").warning("after")
    (first, second) = notes.lines
    assert first == ("job-1", "warning", "watch out")
    assert second[1] == "error"
    assert second[2].startswith("failed\nTraceback")
    assert second[2].endswith("ValueError: boom")
    assert [r.getMessage() for r in caplog.records] == ["watch out", "failed", "after"]  # others hear all of it


def test_outside_of_a_job_and_for_our_own_loggers_nothing_is_captured(notes: Notebook) -> None:
    CaptureHandler.install()
    try:
        logging.getLogger("app").error("no job here")
        entered = enter(JobContext("job-1", "q", "work", 1, 1, notes))
        for name in ("easyjobs", "easyjobs.worker", "websockets.client", "asyncio"):
            logging.getLogger(name).error("ours")
        logging.getLogger("easyjobs_app").error("theirs")
        leave(entered)
    finally:
        CaptureHandler.remove()
    assert [text for _, _, text in notes.lines] == ["theirs"]


def test_a_record_that_cannot_be_formatted_harms_nobody(
    job: JobContext, notes: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    with nobody_configured_logging():

        class Rude:
            def __str__(self) -> str:
                raise SystemExit(1)

        CaptureHandler.install()
        try:
            logging.getLogger("app").info("%s", Rude())
            logging.getLogger("app").info("%d", "x")
            logging.getLogger("app").log(25, "odd \ud800 level")
        finally:
            CaptureHandler.remove()
        assert [line[1:] for line in notes.lines] == [
            ("info", "<a log record that cannot be formatted: SystemExit>"),
            ("info", "<a log record that cannot be formatted: TypeError>"),
            ("info", "odd \\ud800 level"),
        ]


def test_it_is_installed_once_and_leaves_with_its_last_user() -> None:
    with nobody_configured_logging() as root:
        CaptureHandler.install()
        CaptureHandler.install()
        assert len(root.handlers) == 1
        assert root.level == logging.INFO
        CaptureHandler.remove()
        assert len(root.handlers) == 1
        CaptureHandler.remove()
        CaptureHandler.remove()
        assert root.handlers == []
        assert root.level == logging.WARNING
        CaptureHandler.install()
        CaptureHandler.remove()
        assert root.handlers == []


def test_a_level_that_somebody_chose_stays() -> None:
    with nobody_configured_logging() as root:
        root.setLevel(logging.ERROR)
        CaptureHandler.install()
        assert root.level == logging.ERROR
        CaptureHandler.remove()
        assert root.level == logging.ERROR


def test_warnings_of_a_process_without_logging_still_reach_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody_configured_logging():
        spoken: list[str] = []

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                spoken.append(record.getMessage())

        monkeypatch.setattr(logging, "lastResort", Ear(logging.WARNING))
        CaptureHandler.install()
        try:
            logging.getLogger("app").warning("heard")
            logging.getLogger("app").info("not heard before either")
            own = logging.getLogger("app.own")
            own.addHandler(logging.NullHandler())
            own.warning("has its own handler")
            own.handlers.clear()
            monkeypatch.setattr(logging, "lastResort", None)
            logging.getLogger("app").warning("nobody wants it")
        finally:
            CaptureHandler.remove()
        assert spoken == ["heard"]


def test_text_is_cut_in_the_middle() -> None:
    assert cut("short", 100) == "short"
    assert cut("é" * 30, 60) == "é" * 30
    long = cut("a" * 5000 + "b" * 5000, 1000)
    assert len(long.encode()) <= 1000
    assert long.startswith("aaa")
    assert long.endswith("bbb")
    assert "9000 bytes left out" in long
    assert cut("x" * 100, 10) == "x" * 10
    assert len(cut("é" * 100, 51).encode()) <= 51


def test_text_of_survives_its_maker() -> None:
    assert text_of(lambda: "ok", "it") == "ok"
    assert text_of(lambda: 1 / 0, "it") == "<it: ZeroDivisionError>"  # type: ignore[arg-type, return-value]
