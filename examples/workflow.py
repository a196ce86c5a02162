"""A workflow over the modules of a package of the standard library: find them, measure each, and put it together.

`python examples/workflow.py` runs it once for `email` and draws the run; `python examples/workflow.py json run.svg`
takes another package, and writes the picture as SVG besides. `uvicorn workflow:app` serves it, with EASYJOBS_SECRET
set.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from easyjobs import EasyJobsManager, chain, map
from easyjobs.core.picture import as_svg, as_text

manager = EasyJobsManager(store="memory:" if __name__ == "__main__" else None)
app = FastAPI(title="Measures", lifespan=manager.lifespan)


@manager.task(namespace="measures")
def find(package: str) -> list[str]:
    return sorted(str(path) for path in files(package).iterdir() if path.name.endswith(".py"))


@manager.task(namespace="measures")
def measure(path: str, comments: bool = True) -> dict[str, Any]:
    lines = Path(path).read_text().splitlines()
    counted = [line for line in lines if comments or not line.lstrip().startswith("#")]
    return {"module": Path(path).stem, "lines": len(counted)}


@manager.task(namespace="measures")
def total(measures: list[dict[str, Any]]) -> int:
    return sum(measure["lines"] for measure in measures)


@manager.task(namespace="measures")
def longest(measures: list[dict[str, Any]]) -> str:
    return str(max(measures, key=lambda measure: measure["lines"])["module"])


@manager.task(namespace="measures")
def report(package: str, lines: int, longest: str) -> str:
    return f"{package} has {lines} lines; its longest module is {longest}"


@manager.workflow(
    namespace="measures",
    title="Lines of a package",
    schedule="0 6 * * 1",
    default_args={"args": ["email"]},
    active=False,
)
def lines_of(package: str, comments: bool = True) -> Any:
    """Says how long a package is."""
    measures = map(measure, find(package), comments=comments)
    lines: Any = total(measures)
    name: Any = longest(measures)
    return report(package, lines, longest=name)


size_of = manager.workflow("size_of", chain(find, map(measure), total), namespace="measures")


async def main(package: str) -> str:
    """Run both workflows, draw the run of the first, and return the drawing as SVG."""
    async with manager.lifespan(app):
        run = await lines_of.enqueue(package, comments=False)
        print(await run)
        print("with its comments it has", await size_of(package), "lines\n")
        job = await manager.hub.queries.job(run.id)
        states = await manager.hub.runs.states(job, lines_of.graph)
        print(as_text(lines_of.graph, states), end="")
        return as_svg(lines_of.graph, states, title="Lines of a package")


if __name__ == "__main__":
    picture = asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "email"))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(picture)
