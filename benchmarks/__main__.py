"""`python -m benchmarks`: the spine's figures, medians of fresh stores, beside the machine's limits; table and JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import limits, spine
from benchmarks.cluster import Cluster

RESULTS = Path(__file__).parent / "results"


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it is installed, as the processes do."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)


def machine(store: str | None = None) -> dict[str, float]:
    """The machine's limits, in the order of the table; those of a PostgreSQL server too."""
    with tempfile.TemporaryDirectory() as folder:
        lifecycles = limits.sqlite_lifecycles(Path(folder))
    server = {}
    if store is not None:
        server["raw PostgreSQL lifecycles /s"] = run(limits.postgres_lifecycles(store, 1))
        server["… on eight connections /s"] = run(limits.postgres_lifecycles(store, 8))
    return {
        "raw SQLite lifecycles /s": lifecycles,
        **server,
        "websocket round trip ms": run(limits.websocket_round_trip()),
        "bare asyncio tasks /s": run(limits.bare_tasks()),
    }


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def table(title: str, figures: dict[str, float], runs: list[dict[str, float]] | None = None) -> None:
    """Print figures, with the least and the most of all runs."""
    print(f"\n{title}")
    for name, value in figures.items():
        spread = ""
        if runs is not None and len(runs) > 1:
            least, most = min(run[name] for run in runs), max(run[name] for run in runs)
            spread = f"   ({number(least)} to {number(most)})"
        print(f"  {name:<28}{number(value):>12}{spread}")


def number(value: float) -> str:
    """Few digits for small figures, thousands apart for large ones."""
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="fresh stores to take the median of")
    parser.add_argument("--old", type=int, default=0, help="also drain beside so many finished jobs")
    parser.add_argument(
        "--postgres", metavar="URL", help="on PostgreSQL, in a schema of its own (own: a server of ours)"
    )
    parser.add_argument("--managers", type=int, default=1, help="how many, on PostgreSQL")
    arguments = parser.parse_args()
    with server(arguments.postgres) as url:
        measure(arguments, url)


@contextmanager
def server(given: str | None) -> Iterator[str | None]:
    """The URL of a schema for us; None: SQLite."""
    if given is None:
        yield None
        return
    own = None
    if given == "own":
        from tests.postgres_server import own_server

        own = own_server()
        given = own.url
    try:
        yield f"{given}{'&' if '?' in given else '?'}schema=bench_{os.getpid()}"
    finally:
        if own is not None:
            own.close()


def measure(arguments: argparse.Namespace, store: str | None) -> None:
    """All that was asked for."""
    runs = []
    bounds = []
    for number_of_run in range(arguments.runs):
        bounds.append(machine(store))
        with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder), store, arguments.managers) as cluster:
            runs.append(run(spine.measure(cluster)))
            cluster.end()
            cluster.rows.remove()
        print(
            f"run {number_of_run + 1} of {arguments.runs}: {json.dumps({k: round(v, 2) for k, v in runs[-1].items()})}"
        )
    report = {"machine": medians(bounds), "easyjobs": medians(runs)}
    if arguments.old:
        with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
            fresh, beside = run(spine.drain_beside(cluster, arguments.old))
        report["old rows"] = {"drain /s": fresh, f"drain beside {arguments.old} /s": beside, "ratio": beside / fresh}
    table(
        f"This machine ({platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()})",
        report["machine"],
        bounds,
    )
    where = "SQLite, synchronous=FULL" if store is None else f"PostgreSQL, {arguments.managers} manager(s)"
    table(f"easyjobs: client, manager, one worker; {where}", report["easyjobs"], runs)
    if "old rows" in report:
        table("The drain beside old jobs", report["old rows"])
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    file.write_text(json.dumps({**report, "runs": runs}, indent=1))
    print(f"\n  written to {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")


if __name__ == "__main__":
    main()
