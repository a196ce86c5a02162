"""How the memory of a process and its offspring is added up, told with a /proc of our own making."""

from __future__ import annotations

import asyncio
import mmap
import os
from pathlib import Path

import pytest

from easyjobs.executors.memory import MemoryWatch

PAGE = os.sysconf("SC_PAGE_SIZE")


class Proc:
    """A folder like /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "self").mkdir()
        (folder / "self" / "statm").touch()
        (folder / "cpuinfo").touch()

    def process(self, pid: int, parent: int, session: int, pages: int, shared: int = 0, name: str = "python") -> None:
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_text(f"{pid} ({name}) S {parent} {session} {session} 0 -1 0")
        (folder / "statm").write_text(f"9999 {pages} {shared} 1 0 0 0")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_offspring_counts_in_its_session_or_out_of_it(proc: Proc) -> None:
    proc.process(10, 1, 10, 100, shared=40)
    proc.process(11, 10, 10, 5, name="a) b (c")
    proc.process(12, 1, 10, 7)  # its parent has ended; the session tells
    proc.process(13, 11, 13, 11)  # left the session; its parent tells
    proc.process(14, 13, 13, 13)
    proc.process(20, 1, 20, 1000)
    (proc.folder / "15").mkdir()  # gone while we looked
    assert MemoryWatch(proc.folder).used(10) == (60 + 5 + 7 + 11 + 13) * PAGE
    assert MemoryWatch(proc.folder).used(99) == 0


async def test_who_uses_too_much_is_told_of_until_it_is_forgotten(proc: Proc) -> None:
    watch = MemoryWatch(proc.folder)
    proc.process(10, 1, 10, 10)
    proc.process(20, 1, 20, 10)
    told: list[int] = []
    twice = asyncio.Event()

    def over(used: int) -> None:
        told.append(used)
        if len(told) == 2:
            twice.set()

    watch.watch(10, 9 * PAGE, over)
    watch.watch(20, 10 * PAGE, lambda used: pytest.fail("it uses no more than it may"))
    await twice.wait()
    assert told == [10 * PAGE] * 2
    watch.forget(10)
    watch.forget(10)
    watch.forget(20)
    assert watch._timer is None


def test_without_proc_nothing_can_be_watched(tmp_path: Path, proc: Proc) -> None:
    assert MemoryWatch(proc.folder).possible
    assert not MemoryWatch(tmp_path / "none").possible


def test_this_very_process_uses_some() -> None:
    watch = MemoryWatch()
    if watch.possible:
        before = watch.used(os.getpid())
        with mmap.mmap(-1, 64 * 2**20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:  # not what it had and freed
            block.write(b"x" * len(block))
            assert watch.used(os.getpid()) - before > 32 * 2**20
