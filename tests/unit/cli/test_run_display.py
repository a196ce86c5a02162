"""A run of scripts as it is shown: a line for each that moves, a tree in a terminal, and a summary."""

from __future__ import annotations

import io
from typing import Any

import pytest

from easyjobs.cli import run_display
from easyjobs.cli.run_display import Lines, Tree, display, summary
from easyjobs.faces.conducting import Failure, Progress
from easyjobs.faces.jobs_file import At, plan_of

PLAN = plan_of([{"name": "Bonds", "steps": ["grab.py", ["a.R", "b\x1b[31m.sh"]]}])
RUN = {"workflow": "jobs", "id": "id1", "state": "running", "created_at": "2026-01-31T12:00:00Z", "finished_at": None}
BEGAN, ENDED = "2026-01-31T12:00:00Z", "2026-01-31T12:00:02.500Z"


def scripts(first: str, **more: Any) -> list[Progress]:
    grab = Progress(At(0, 0, 0), "grab.py", first, attempt=1, **more)
    return [grab, Progress(At(0, 1, 0), "a.R", "waiting"), Progress(At(0, 1, 1), "b\x1b[31m.sh", "waiting")]


def test_a_line_for_each_that_moves_and_none_for_what_waits(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(PLAN) as lines:
        lines.show(RUN, scripts("queued"))
        for _ in range(2):
            lines.show(RUN, scripts("running", started_at=BEGAN))
        lines.show(RUN, scripts("completed", started_at=BEGAN, finished_at=ENDED))
    said = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert said == ["Bonds: grab.py  running", "Bonds: grab.py  completed  2.5 s"]


def test_a_summary_says_why_with_the_last_lines_and_nothing_that_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failure = Failure("on_task_ready", "ValueError", "no \x1b[31mred\nmore", "first\nlast \x07")
    run = {**RUN, "state": "failed", "finished_at": ENDED}
    summary(run, scripts("failed", failure=failure, note="on_task_fail failed: OSError: down"), ["Bonds"])
    out, err = capsys.readouterr()
    assert out == "run id1 failed after 2.5 s: 1 failed, 2 waiting\n"
    assert "Bonds: grab.py: on_task_ready: ValueError: no \\x1b[31mred" in err
    assert "    last \\x07\n" in err
    assert "on_task_fail failed: OSError: down" in err


class Terminal(io.StringIO):
    """Is one, and can show all letters."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What stands in for stdout from now on; of a fixture pytest would take it away again."""
    pytest.importorskip("rich")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


def test_in_a_terminal_it_is_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with display(PLAN) as tree:
        assert isinstance(tree, Tree)
        tree.show(RUN, scripts("running", started_at=BEGAN, share=0.5, note="half"))
        tree.show(RUN, scripts("completed", started_at=BEGAN, finished_at=ENDED))
    said = screen.getvalue()
    assert "jobs id1  running  1/3" in said
    assert "grab.py  completed  2.5 s" in said
    assert "50%  half" in said
    assert "\x1b[31m.sh" not in said


def test_of_a_tree_higher_than_the_terminal_what_runs_and_has_failed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    monkeypatch.setenv("LINES", "10")
    plan = plan_of([{"name": f"job{n}", "steps": [f"a{n}.py", f"b{n}.py"]} for n in range(20)])
    states = {0: "completed", 3: "failed", 17: "running"}
    found = [
        Progress(at, path, states.get(at.job, "queued") if not at.step else "waiting") for at, path in plan.scripts()
    ]
    tree = Tree(plan)
    with tree:
        tree.show(RUN, found)
        said = screen.getvalue()
        assert [name for name in ("a0.py", "a3.py", "a17.py", "b17.py") if name in said] == ["a3.py", "a17.py"]
        assert "… 1 completed, 17 queued, 20 waiting" in said
        tree.show({**RUN, "finished_at": ENDED}, found)
    assert "b19.py" in screen.getvalue(), "in the end all of it is left there"


def test_more_running_than_lines_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    plan = plan_of([{"name": "x", "steps": [["a.py"] * 30]}])
    found = [Progress(at, path, "running") for at, path in plan.scripts()]
    assert len(run_display._telling(found, 7)) == 6, "a line is that of the job"


def test_a_large_one_is_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    large = plan_of([{"name": "x", "steps": ["a.py"] * (run_display.MOST + 1)}])
    assert type(display(large)) is Lines
    assert type(display(large, silent=True)) is run_display.Silent
