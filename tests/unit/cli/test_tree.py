"""Chains drawn as trees."""

from typing import Any

from easyjobs.cli.tree import lines_of


def item(id: str, depth: int, relation: str | None = None, **more: Any) -> dict[str, Any]:
    usual = {"queue": "etl", "task": id, "state": "completed", "error": None}
    return {**usual, "id": f"id-{id}", "depth": depth, "relation": relation, **more}


CHAIN = [
    item("extract", 0),
    item("prepare", 1, "before"),
    item("transform", 1, "after"),
    item("connect", 2, "before", queue="db"),
    item("load", 2, "after", state="failed", error="ValueError: \x1b[31mno"),
    item("mail", 3, "failure"),
    item("report", 1, "after"),
]


def test_a_chain_is_drawn_and_the_job_that_was_asked_for_is_pointed_at() -> None:
    assert "\n".join(lines_of(CHAIN, "id-load", "utf-8")) == (
        "extract  completed  id-extract\n"
        "├─ before prepare  completed  id-prepare\n"
        "├─ after transform  completed  id-transform\n"
        "│  ├─ before db:connect  completed  id-connect\n"
        "│  └─ after load  failed  id-load  ValueError: \\x1b[31mno  <- this one\n"
        "│     └─ failure mail  completed  id-mail\n"
        "└─ after report  completed  id-report"
    )


def test_terminals_that_have_no_lines_get_letters() -> None:
    for encoding in ("ascii", "latin-1", "no-such-encoding"):
        assert list(lines_of(CHAIN[:2], "", encoding))[1].startswith("`- before prepare")
    leads = [line[:9] for line in lines_of(CHAIN, "", "ascii")]
    assert leads[2:6] == ["|- after ", "|  |- bef", "|  `- aft", "|     `- "]
    assert list(lines_of([], "")) == []
