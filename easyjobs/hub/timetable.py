"""All schedules in memory, as they are stored, by the time at which each wants to be looked at."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping

from easyjobs.core.schedule import Schedule
from easyjobs.errors import NotFound
from easyjobs.hub.alerts import Alerts
from easyjobs.stores.base import Pause

ALERT = "schedule"
FORGOTTEN = 1000  # places in the heap that are out of date and may lie about


class Planned:
    """A schedule and what only this manager knows of it.

    `held`: a tick of it has come and waits for the end of the job before. `error`: why its last tick made no job.
    """

    __slots__ = ("at", "error", "held", "row")

    def __init__(self, row: Schedule) -> None:
        self.row = row
        self.at: float | None = None
        self.held = False
        self.error: str | None = None


class Timetable:
    """Holds each schedule as it was committed last; whoever commits another row puts it here. What goes wrong with one
    is among the `alerts`.
    """

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self.rows: dict[str, Planned] = {}
        self.pauses: dict[str, Pause] = {}
        self._heap: list[tuple[float, str]] = []
        self.changed: Callable[[float], None] = lambda at: None
        """Told when a schedule wants to be looked at at a time."""

    def load(self, rows: Iterable[Schedule], pauses: Iterable[Pause]) -> None:
        """Begin with what the store holds."""
        self.pauses = {pause.name: pause for pause in pauses if pause.kind == "schedule"}
        for row in rows:
            self.put(row)

    def known(self) -> dict[str, Schedule]:
        """All rows as they are now."""
        return {id: planned.row for id, planned in self.rows.items()}

    def follow(self, rows: Iterable[Schedule], pauses: Iterable[Pause], before: Mapping[str, Schedule]) -> None:
        """Take in what the store holds: other managers write it too. `before`: what was `known` when the store was
        asked; what came here since is not missing because the answer has it not.
        """
        self.pauses.clear()
        self.pauses.update({pause.name: pause for pause in pauses if pause.kind == "schedule"})
        stored = {row.id: row for row in rows}
        for row in stored.values():
            planned = self.rows.get(row.id)
            if planned is None or planned.row.version < row.version:
                self.put(row)
        for id, planned in list(self.rows.items()):
            if id not in stored and planned.row is before.get(id):
                self.drop(id)

    def learn_pause(self, id: str, pauses: Iterable[Pause]) -> None:
        """By all `pauses` that the store holds, this schedule is paused or is not."""
        found = next((pause for pause in pauses if pause.kind == "schedule" and pause.name == id), None)
        if found is None:
            self.pauses.pop(id, None)
        else:
            self.pauses[id] = found

    def find(self, id: str) -> Planned:
        """One schedule.

        :raises NotFound: there is none.
        """
        planned = self.rows.get(id)
        if planned is None:
            raise NotFound(f"No schedule {id[:300]!r}.")
        return planned

    def put(self, row: Schedule) -> None:
        """This row was committed. One that is older than what is known changes nothing."""
        planned = self.rows.get(row.id)
        if planned is None:
            planned = self.rows[row.id] = Planned(row)
        elif row.version < planned.row.version:
            return
        elif row.next_at != planned.row.next_at:
            planned.held = False
        planned.row = row
        self.look(planned, row.next_at)

    def drop(self, id: str) -> None:
        """It was removed. May be called twice."""
        self.rows.pop(id, None)
        self.pauses.pop(id, None)
        self._alerts.close(ALERT, id)

    def note(self, planned: Planned, error: str | None) -> None:
        """Why its last tick made no job; None: it made one."""
        if error is not None:
            self._alerts.open(ALERT, planned.row.id, f"its last tick made no job: {error}")
        elif planned.error is not None:
            self._alerts.close(ALERT, planned.row.id)
        planned.error = error

    def refresh(self, ids: Iterable[str], rows: Iterable[Schedule]) -> None:
        """These `ids` were found to be out of date; `rows` is what the store holds now. One that was dropped meanwhile
        stays away.
        """
        stored = {row.id: row for row in rows}
        for id in ids:
            if id in self.rows and id in stored:
                self.put(stored[id])
            else:
                self.drop(id)

    def look(self, planned: Planned, at: float | None) -> None:
        """It is to be looked at at `at`, and not before; None: never."""
        planned.at = at
        if at is None:
            return
        if len(self._heap) > FORGOTTEN + 4 * len(self.rows):
            self._heap = [(other.at, id) for id, other in self.rows.items() if other.at is not None]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (at, planned.row.id))
        self.changed(at)

    def due(self, now: float, limit: int) -> list[Planned]:
        """Take out up to `limit` schedules whose time has come, earliest first; put or look at each again."""
        found: list[Planned] = []
        while len(found) < limit:
            at = self.next_look()
            if at is None or at > now:
                break
            planned = self.rows[heapq.heappop(self._heap)[1]]
            planned.at = None
            found.append(planned)
        return found

    def next_look(self) -> float | None:
        """When the first of them wants to be looked at."""
        while self._heap:
            at, id = self._heap[0]
            planned = self.rows.get(id)
            if planned is not None and planned.at == at:
                return at
            heapq.heappop(self._heap)
        return None
