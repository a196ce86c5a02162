"""A manager that is killed while its schedules fire loses no tick and fires none twice."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from easyjobs.stores.base import JobQuery
from easyjobs.stores.sqlite import SQLiteStore

TICKING = Path(__file__).parent / "apps" / "ticking.py"
SCHEDULES = 20


def killed_after(lines: int, file: Path) -> int:
    """Run a manager until it has said so many times that jobs were made, and kill it; how many jobs it saw."""
    process = subprocess.Popen([sys.executable, TICKING, file, str(SCHEDULES)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        return [int(process.stdout.readline()) for _ in range(lines)][-1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def ticks_in(file: Path) -> dict[str, list[float]]:
    """The ticks for which each schedule has jobs, oldest first."""
    store = SQLiteStore(str(file))
    await store.open()
    found: dict[str, list[float]] = defaultdict(list)
    for job in (await store.find(JobQuery(limit=100_000))).items[::-1]:
        assert job.schedule is not None
        assert job.tick is not None
        found[job.schedule].append(job.tick)
    last = {row.id: row.last_at for row in await store.schedules()}
    assert last == {id: ticks[-1] for id, ticks in found.items()}
    await store.close()
    return found


async def test_each_second_has_one_job_of_each_schedule_however_often_the_manager_dies(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    for lines in (2, 1, 3, 1, 2):
        killed_after(lines, file)
    found = await ticks_in(file)
    assert len(found) == SCHEDULES
    for ticks in found.values():
        assert ticks == [ticks[0] + second for second in range(len(ticks))]
        assert len(ticks) >= 3
