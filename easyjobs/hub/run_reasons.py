"""Why a run of a workflow is where it is: those that go on before it, its own jobs, and how it ended."""

from __future__ import annotations

from typing import Final

from easyjobs.core.events import reason_of
from easyjobs.core.job import Job
from easyjobs.core.states import COMPLETED, FINAL, STATES, State
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.reasons import Reason, listed, several, span
from easyjobs.stores.base import JobQuery, Store

OPEN: Final[tuple[State, ...]] = ("running", "retry", "queued", "waiting")
"""States of jobs that a run waits for, those first that say most."""

MOST: Final = 100
"""Runs or jobs of a state that are looked at."""


class RunReasons:
    """Explains jobs that are runs."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    async def limit(self, run: Job) -> Reason | None:
        """As many runs of its workflow go on as may; None where there is room."""
        most = self._catalog.options(run.lane).concurrency
        if most is None:
            return None
        counter = f"{run.queue}:{run.task}"
        open_: list[Job] = []
        for state in OPEN:
            query = JobQuery(queue=run.queue, task=run.task, state=state, runs=True, limit=MOST)
            open_ += [row for row in (await self._store.find(query)).items if row.holds == counter]
        if len(open_) < most:
            return None
        ids = [row.id for row in open_]
        text = (
            f"The `concurrency` of workflow {counter} is {most}, and so many runs go on: {listed(ids)}. "
            "It begins when one of them ends."
        )
        return Reason("concurrency", text, jobs=ids)

    async def jobs(self, run: Job, now: float) -> Reason:
        """How far a run is that goes on, and which of its jobs hold it."""
        counts = (await self._store.by_run([run.id])).get(run.id, {})
        said, ids = [], []
        for state in OPEN:
            if counts.get(state):
                rows = (await self._store.find(JobQuery(run=run.id, state=state, limit=MOST))).items
                names = [_named(row, now) for row in rows]
                names += ["another"] * (counts[state] - len(names))  # `listed` only says how many these are
                said.append(f"{_VERBS[state]}: {listed(names)}")
                ids += [row.id for row in rows]
        each = ", ".join(f"{counts[state]} {state}" for state in STATES if counts.get(state))
        text = f"It is a run of {several(sum(counts.values()), 'job')}: {each}."
        if said:
            text += f" Of these {'; '.join(said)}. Ask the same of them to learn more."
        return Reason("members", text, run.created_at, jobs=ids)

    def end(self, run: Job) -> Reason | None:
        """How it ended; None where that is told as of any other job."""
        if run.state == COMPLETED:
            return Reason("completed", "It completed: all jobs of the run did.", run.finished_at)
        if run.state == "failed" and run.turn == "close":
            text = (
                f"It failed: {reason_of(run.error)}. "
                f"To run it again from where it failed: easyjobs runs retry {run.id}."
            )
            return Reason("failed", text, run.finished_at)
        return None


_VERBS: Final[dict[State, str]] = {
    "running": "run",
    "retry": "are tried again",
    "queued": "are queued",
    "waiting": "wait",
}


def _named(job: Job, now: float) -> str:
    name = job.node or job.task
    if job.state == "running":
        return f"{name} (on {job.worker} for {span(now - (job.started_at or now))})"
    return f"{name} (due in {span(job.run_at - now)})" if job.run_at > now and job.state not in FINAL else name
