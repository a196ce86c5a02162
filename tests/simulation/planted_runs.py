"""Bugs to be planted into the runs of workflows; see `planted`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from easyjobs.core import lifecycle
from easyjobs.core.changes import Release
from easyjobs.core.events import Spread
from easyjobs.core.job import Edge, Job
from easyjobs.faces import conducting
from easyjobs.hub import running
from easyjobs.hub.running import Running
from easyjobs.hub.services.sweeper import Sweeper
from easyjobs.hub.services.turns import Turns
from easyjobs.stores.memory.tables import Tables


def a_run_ends_with_its_leaves(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether others of its jobs go on."""
    close = Running.close

    def blind(self: Running, links: Any, row: Job, facts: Any) -> Any:
        return close(self, links, row, msgspec.structs.replace(facts, live=[]))

    patch.setattr(Running, "close", blind)


def results_are_those_of_another_run(patch: pytest.MonkeyPatch) -> None:
    """What a node gave once it is believed to give always."""
    result = running._result
    seen: dict[tuple[str, str | None], Any] = {}

    def remembering(facts: Any, id: str) -> Any:
        source = facts.rows.get(id)
        found = result(facts, id)
        return found if source is None else seen.setdefault((source.task, source.node), found)

    patch.setattr(running, "_result", remembering)


def what_failed_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A run that repeats another keeps all that had ended there."""

    def completed(self: Any, name: str) -> Job | None:
        old = self._facts.rows.get(self.old(name) or "")
        return old if old is not None and old.final else None

    patch.setattr(running._Page, "completed", completed)


def nothing_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A run that repeats another does all of it again."""
    patch.setattr(running._Page, "completed", lambda self, name: None)


def runs_take_no_room(patch: pytest.MonkeyPatch) -> None:
    """A run that goes on is not counted among those that do."""
    patch.setattr(Running, "_counter", lambda self, links, entry: None)


def room_is_not_given_back(patch: pytest.MonkeyPatch) -> None:
    """Runs that have ended still count among those that go on."""
    held = Tables._held

    def keeping(self: Tables) -> Any:
        counts = held(self)
        counts.update(job.holds for job in self._jobs.values() if job.holds is not None and job.final and job.is_run)
        return counts

    patch.setattr(Tables, "_held", keeping)


def nodes_are_let_go_page_by_page(patch: pytest.MonkeyPatch) -> None:
    """The first nodes of a large run begin while the others are not there."""
    expand = Running.expand

    def hasty(self: Running, links: Any, row: Job, *rest: Any) -> Any:
        event = expand(self, links, row, *rest)
        if not event.whole:
            links.writes.append(Release(row.id, inside=True))
        return event

    patch.setattr(Running, "expand", hasty)


def a_whole_run_is_taken_for_an_ended_one(patch: pytest.MonkeyPatch) -> None:
    """Who waits for a large run is let go with its first nodes."""
    patch.setattr(running, "Release", lambda id, inside: Release(id))


def only_the_last_page_counts(patch: pytest.MonkeyPatch) -> None:
    """A map waits for the members that it made last."""
    decide = lifecycle._DECIDE[Spread]

    def forgetful(job: Job, *rest: Any) -> Any:
        return decide(msgspec.structs.replace(job, deps_left=0) if job.turn == "map" else job, *rest)

    patch.setitem(lifecycle._DECIDE, Spread, forgetful)


def nobody_stops_the_nodes(patch: pytest.MonkeyPatch) -> None:
    """A run that is to stop waits until its nodes end by themselves."""
    abandon = Sweeper.abandon

    def forgetful(self: Sweeper, job: Job) -> None:
        if not job.is_run:
            abandon(self, job)

    patch.setattr(Sweeper, "abandon", forgetful)


def what_a_group_waited_for_is_a_part_of_it(patch: pytest.MonkeyPatch) -> None:
    """All edges that end at a group are taken for those of its members."""

    async def members(self: Turns, group: Job) -> Any:
        rows = await self._store.jobs([edge.prerequisite for edge in await self._store.edges([group.id])])
        return {id: row.state for id, row in rows.items()}

    patch.setattr(Turns, "_members", members)


def a_bad_end_holds_nobody(patch: pytest.MonkeyPatch) -> None:
    """Who waits for a node begins when that has ended, however it did."""
    patch.setattr(running, "Edge", lambda first, then, bad: Edge(first, then, "count" if bad == "skip" else bad))


def who_resumes_a_run_tells_all_of_it_again(patch: pytest.MonkeyPatch) -> None:
    """That a script failed is told by each process that sees it."""
    told = conducting.failure
    patch.setattr(conducting, "failure", lambda *what: msgspec.structs.replace(told(*what), key=None))


FOUND = (
    (a_run_ends_with_its_leaves, "and these go on"),
    (results_are_those_of_another_run, "was given .*, (not|and the item is)|gives .* did not"),
    (what_failed_is_kept, "began as completed, while it had"),
    (nothing_is_kept, "and had .* already"),
    (runs_take_no_room, "runs of `narrow` go on at once"),
    (room_is_not_given_back, "in peace these did not end.*narrow"),
    (nodes_are_let_go_page_by_page, "goes on, and its run is not whole"),
    (a_whole_run_is_taken_for_an_ended_one, "goes on before"),
    (only_the_last_page_counts, "map .* counts"),
    (nobody_stops_the_nodes, "in peace these did not end.*patience"),
    (a_bad_end_holds_nobody, "goes on before|ended as failed"),
    (who_resumes_a_run_tells_all_of_it_again, r"failed; told by \[\(.*\), \("),
    (what_a_group_waited_for_is_a_part_of_it, r"group .* is failed, and its members are \['completed"),
)
"""A bug, and what of a violation's words must be there when the right invariant has found it."""
