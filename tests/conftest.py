"""What all tests share.

- `async def` tests run each in an event loop of its own (`asyncio.run`); fixtures are plain functions or generators.
- `--seeds N` says how many seeds a simulation runs; tests read it through the `seeds` fixture.
- What was skipped or left out is printed at the end, with its reason: a green run must not hide what it did not see.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from typing import Any

import pytest
from postgres_server import postgres_url, store_url  # noqa: F401 - fixtures for all


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=100, metavar="N", help="how many seeds each simulation runs")


@pytest.fixture(scope="session")
def seeds(pytestconfig: pytest.Config) -> int:
    """How many seeds a simulation runs."""
    count: int = pytestconfig.getoption("--seeds")
    return count


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


_LEFT_OUT = pytest.StashKey[int]()


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        stash = items[0].config.stash
        stash[_LEFT_OUT] = stash.get(_LEFT_OUT, 0) + len(items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # this is one of several processes, and only the first one reports
        session.config.workeroutput["left out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each process leaves out the same tests, and says so to the one that reports."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left out", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[f"{report.nodeid}: {reason.removeprefix('Skipped: ')}"] += 1
    left_out = config.stash.get(_LEFT_OUT, 0)
    if not reasons and not left_out:
        return
    terminalreporter.section("NOT RUN", red=True, bold=True)
    for reason, times in sorted(reasons.items()):
        terminalreporter.line(f"skipped: {reason}" + (f" ({times} times)" if times > 1 else ""), yellow=True)
    if left_out:
        terminalreporter.line(f"left out: {left_out} tests by `-m {config.option.markexpr!r}`", yellow=True)
        terminalreporter.line("`make test-all` runs the long ones", yellow=True)
