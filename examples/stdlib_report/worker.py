"""A worker of the demo, embedded in a FastAPI app of its own: it measures the source files of a Python library.

`uvicorn worker:app`, with EASYJOBS_SECRET, MANAGER_HOST and MANAGER_PORT set.
"""

import ast
import asyncio
import sysconfig
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from easyjobs import current_job
from easyjobs.workers.worker import EasyJobsWorker

LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "__pycache__"}
BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.IfExp,
    ast.comprehension,
    ast.BoolOp,
    ast.match_case,
)

worker = EasyJobsWorker(jobs_queue="reports", max_tasks_per_worker=16)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await worker.start()
    yield
    await worker.stop()


app = FastAPI(title="Report worker", lifespan=lifespan)


@worker.task()
def find_modules(library: str | None = None) -> list[str]:
    """The source files of a library, the standard one unless another folder is named, as paths below it."""
    root = Path(library or sysconfig.get_path("stdlib"))
    found = (path.relative_to(root) for path in root.rglob("*.py"))
    return sorted(str(path) for path in found if not LEFT_OUT.intersection(path.parts))


@worker.task(retries=2, timeout=60)
def measure(path: str, library: str | None = None) -> dict[str, Any]:
    """Parse one file: its lines, functions, classes, the modules it imports, and its cyclomatic complexity."""
    source = (Path(library or sysconfig.get_path("stdlib")) / path).read_bytes()
    tree = ast.parse(source)
    kinds = Counter(type(node) for node in ast.walk(tree))
    imports = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imports |= {
        node.module.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    functions = kinds[ast.FunctionDef] + kinds[ast.AsyncFunctionDef]
    return {
        "path": path,
        "lines": len(source.splitlines()),
        "functions": functions,
        "classes": kinds[ast.ClassDef],
        "imports": sorted(imports),
        "complexity": functions + sum(kinds[kind] for kind in BRANCHES),
    }


@worker.task()
def report(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """All measurements in one table: the totals, the most complex files, the modules most others lean on."""
    leaned_on = Counter(name for module in measured for name in module["imports"])
    totals = {key: sum(module[key] for module in measured) for key in ("lines", "functions", "classes", "complexity")}
    most_complex = sorted(measured, key=lambda module: -module["complexity"])[:10]
    return {
        "modules": len(measured),
        **totals,
        "most_complex": most_complex,
        "most_imported": leaned_on.most_common(10),
    }


@worker.task(retries=0)
async def pipeline(library: str | None = None) -> dict[str, Any]:
    """Find the modules, measure each in a job of its own, gather the report.

    While it awaits the others, its slot is free for them.
    """
    job = current_job()
    paths = await find_modules(library)
    job.log(f"{len(paths)} modules to measure")
    handles = await asyncio.gather(*(measure.enqueue(path, library) for path in paths))
    measured = []
    for handle in handles:
        measured.append(await handle)
        job.progress(len(measured) / len(paths), f"{len(measured)} of {len(paths)} modules")
    return await report(measured)
