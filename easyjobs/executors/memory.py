"""How much memory child processes use, each together with all that it started."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

EVERY: Final = 0.2
PROC: Final = Path("/proc")


class _Process(NamedTuple):
    parent: int
    session: int


class MemoryWatch:
    """Looks at the watched processes five times a second, and at nothing while there are none.

    What counts is the memory that is theirs alone (resident, less what is shared with files and others): of a program
    that reserves much and touches little only what it touched. It is read from /proc; where there is none, `possible`
    is false and nothing is watched.
    """

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.possible = (proc / "self" / "statm").exists()

    def watch(self, pid: int, most: int, over: Callable[[int], None]) -> None:
        """Call `over` with the bytes in use, again and again, while a process and its offspring use more than `most`
        bytes. On the event loop.
        """
        self._watched[pid] = (most, over)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._look)

    def forget(self, pid: int) -> None:
        """Watch a process no more. May be called for any."""
        self._watched.pop(pid, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def used(self, pid: int) -> int:
        """The bytes that a process and its offspring use now."""
        return self._used(pid, self._processes())

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._look)
        processes = self._processes()
        for pid, (most, over) in list(self._watched.items()):
            used = self._used(pid, processes)
            if used > most:
                over(used)

    def _used(self, root: int, processes: dict[int, _Process]) -> int:
        family = {pid for pid, process in processes.items() if process.session == root} | {root}
        while True:  # those who left the session are still somebody's children
            more = {pid for pid, process in processes.items() if process.parent in family} - family
            if not more:
                return sum(map(self._own, family))
            family |= more

    def _processes(self) -> dict[int, _Process]:
        found: dict[int, _Process] = {}
        for folder in self._proc.iterdir():
            if folder.name.isdigit() and (stat := _read(folder / "stat")):
                # the name of a program stands in brackets and may hold anything, brackets too
                _, parent, _, session = stat.rpartition(b")")[2].split()[:4]
                found[int(folder.name)] = _Process(int(parent), int(session))
        return found

    def _own(self, pid: int) -> int:
        statm = _read(self._proc / str(pid) / "statm").split()
        return (int(statm[1]) - int(statm[2])) * self._page if statm else 0


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile
