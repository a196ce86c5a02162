"""Reads what must be known of the jobs whose turn has come, and has the committer decide them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from easyjobs.core import groups
from easyjobs.core.chain import TaskName
from easyjobs.core.events import Bound, Checked, Gathered, Spread
from easyjobs.core.job import Job, Turn
from easyjobs.core.states import FINAL, State
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Candidate, Facts, Judgement, Word
from easyjobs.hub.running import size
from easyjobs.hub.turning import Turned, Turning
from easyjobs.stores.base import JobQuery, Store

MOST = 1_000  # jobs of each kind that are looked at for one that is on its way already
PAGE = 1_000
FEW = 100  # jobs that are read at once, each perhaps with arguments and a result as large as they may be
BAD: Final[tuple[State, ...]] = ("failed", "cancelled", "skipped")  # what a run is said to have failed of, first
ENDS: Final[tuple[Turn, ...]] = ("gather", "close")
LOOKS = 5  # at a run whose jobs end, or are removed, while they are looked at
NAMED = 20  # of so many that did not complete the first is found
AGAIN = 0.1  # seconds until what could not be decided is read anew


class Turns:
    """A job that is offered its turn again while the first is decided, as every claim does, has it once."""

    name = "turns"

    def __init__(self, store: Store, turning: Turning, committer: Committer) -> None:
        self._store = store
        self._turning = turning
        self._committer = committer
        self._open: set[str] = set()
        self._waiting: list[Job] = []
        self._again: dict[str, Job | None] = {}
        self.wake: Callable[[float | None], None] = lambda at: None

    def come(self, jobs: Iterable[Job]) -> None:
        """Take the turns of these. May be called from callbacks."""
        news = [job for job in jobs if job.id not in self._open]
        if news:
            self._open.update(job.id for job in news)
            self._waiting += news
            self.wake(None)

    async def run_once(self, now: float) -> float | None:
        """Read for all that came, and pass them on; called again when woken."""
        self._offer_again()
        jobs = list(self._waiting)
        if not jobs:
            return None
        keys = [key for job in jobs for key in self._turning.keys(job)]
        fresh = await self._store.fresh(keys) if keys else {}
        coming: dict[TaskName, list[Candidate]] = {}
        for name in dict.fromkeys(name for job in jobs for name in self._turning.tasks(job)):
            coming[name] = self._turning.candidates(await self._store.coming(*name, MOST))
        rows = await self._sources(jobs)
        closing = [job.id for job in jobs if job.turn == "close"]
        counts = await self._store.by_run(closing) if closing else {}
        facts_of = {job.id: Facts(fresh, coming, rows=rows, counts=counts.get(job.id, {})) for job in jobs}
        for job in jobs:
            if job.turn in ENDS:
                await self._ended(job, facts_of[job.id])
        del self._waiting[: len(jobs)]
        for job in jobs:
            facts = facts_of[job.id]
            self._committer.add(Word(job.id, _EVENTS[job.turn or "check"](), self._answered, job, facts=facts))
        return None

    async def _sources(self, jobs: list[Job]) -> dict[str, Job]:
        """The jobs of which these take something. With what they were given only where they may be copied: it is as
        large as what they gave.
        """
        whole: dict[str, bool] = {}
        for job in jobs:
            copies = job.retry_of is not None and job.turn in ("expand", "map")
            for id in self._turning.sources(job) if job.turn != "gather" else ():
                whole[id] = copies or whole.get(id, False)
        ids = list(whole)
        rows: dict[str, Job] = {}
        for start in range(0, len(ids), FEW):
            for id, row in (await self._store.jobs(ids[start : start + FEW])).items():
                rows[id] = row if whole[id] else replace(row, args="[]", kwargs="{}")
        return rows

    def _offer_again(self) -> None:
        """What could not be decided: a claim finds it again; only for the end of a group nobody need be free."""
        again, self._again = self._again, {}
        self._open.difference_update(again)
        self.come([job for job in again.values() if job is not None and job.turn in ENDS and not job.final])
        if again:
            self._committer.poke()

    async def _ended(self, job: Job, facts: Facts) -> None:
        """How those ended for which `job` waited, and who has not."""
        if job.turn == "gather" and groups.progress_of(job).mapped:
            await self._read_list(job, facts)
        elif job.turn == "gather":
            facts.members = await self._members(job)
        else:
            for _ in range(LOOKS):
                if await self._read_run(job, facts):
                    break
                facts.counts = (await self._store.by_run([job.id])).get(job.id, {})

    async def _read_run(self, run: Job, facts: Facts) -> bool:
        """Read who of a run goes on, and who failed; whether that is there of which there is to be some."""
        going = [state for state, number in facts.counts.items() if number and state not in FINAL]
        facts.live = [job for state in going for job in await self._some(run, state, PAGE)]
        bad = next((state for state in BAD if facts.counts.get(state)), None)
        ended = [] if bad is None else await self._some(run, bad, NAMED)
        facts.bad = min(ended, key=lambda job: (job.finished_at or 0.0, job.seq), default=None)
        return bool(going) == bool(facts.live) and (bad is None) == (facts.bad is None)

    async def _some(self, run: Job, state: State, limit: int) -> list[Job]:
        return (await self._store.find(JobQuery(run=run.id, state=state, limit=limit))).items

    async def _read_list(self, job: Job, facts: Facts) -> None:
        """Read the jobs of a map. Ten thousand results may be large: none is kept once they are too many together."""
        ids = self._turning.sources(job)
        facts.rows = {}
        for start in range(0, len(ids), FEW):
            for id, row in (await self._store.jobs(ids[start : start + FEW])).items():
                facts.size += size(row.result or "null") + 1
                enough = facts.size > self._turning.most
                facts.rows[id] = replace(row, args="[]", kwargs="{}", result=None) if enough else row

    async def _members(self, group: Job) -> dict[str, State]:
        # the others are of what it waited for before it was spread
        ids = [edge.prerequisite for edge in await self._store.edges([group.id]) if edge.bad == "count"]
        states: dict[str, State] = {}
        for start in range(0, len(ids), PAGE):
            rows = await self._store.jobs(ids[start : start + PAGE])
            states.update((id, row.state) for id, row in rows.items())
        return states

    def _answered(self, word: Word, judgement: Judgement, row: Job | None) -> None:
        if judgement == "stale":  # its facts were; if that is a mistake of ours, it is not repeated in haste
            self._again[word.id] = row
            self.wake(self._store.now() + AGAIN)
        else:
            self._open.discard(word.id)


_EVENTS: dict[Turn, type[Turned]] = {
    "check": Checked,
    "spread": Spread,
    "gather": Gathered,
    "bind": Bound,
    "map": Spread,
    "expand": Spread,
    "close": Gathered,
}
