"""The output of a child process becomes lines, whatever it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from easyjobs.executors.output import LONGEST, MANY, Output


class Pipe:
    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.lines: list[str] = []
        self.output = Output(self.reading, self.lines.append)

    async def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            await asyncio.to_thread(os.write, self.writing, piece)
            await asyncio.sleep(0.005)

    async def end(self) -> list[str]:
        os.close(self.writing)
        await self.output.ended.wait()
        return self.lines


def story(*pieces: bytes) -> list[str]:
    async def told() -> list[str]:
        pipe = Pipe()
        await pipe.write(*pieces)
        return await pipe.end()

    return asyncio.run(told())


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ((b"one\ntwo\n",), ["one", "two"]),
        ((b"o", b"ne\nt", b"wo"), ["one", "two"]),
        ((b"dos\r\nold\rmac\n",), ["dos", "old\rmac"]),
        ((b"\n\nempty ones stay\n",), ["", "", "empty ones stay"]),
        ((b"\xff\xfe binary \x00\n",), ["\ufffd\ufffd binary \ufffd"]),
        ((b"caf\xc3", b"\xa9\n"), ["café"]),
        ((), []),
    ],
)
def test_lines_are_lines_however_they_come(pieces: tuple[bytes, ...], lines: list[str]) -> None:
    assert story(*pieces) == lines


def test_of_a_line_without_end_the_head_is_kept_and_the_next_one_is_whole() -> None:
    head, after = story(*[b"x" * 50_000] * 5, b"\nafter\n")
    assert head.startswith("x" * LONGEST)
    assert head.endswith("left out")
    assert after == "after"


def test_a_long_line_that_comes_whole_is_cut_too() -> None:
    head, after = story(b"x" * (LONGEST + 1) + b"\nafter\n")
    assert (len(head.partition(" ")[0]), after) == (LONGEST, "after")
    assert head.endswith("left out")


def test_who_sees_longer_lines_than_the_log_keeps_sees_them_whole() -> None:
    async def told() -> None:
        reading, writing = os.pipe()
        lines: list[str] = []
        seen: list[bytes] = []
        output = Output(reading, lines.append, seen=seen.append, longest=3 * LONGEST)
        await asyncio.to_thread(
            os.write, writing, b"a\n" + b"x" * (2 * LONGEST) + b"\n" + b"y" * (4 * LONGEST) + b"\nb\n"
        )
        os.close(writing)
        await output.ended.wait()
        assert [len(line) for line in seen] == [1, 2 * LONGEST, 3 * LONGEST, 1]
        assert [len(line.partition(" ")[0]) for line in lines] == [1, LONGEST, LONGEST, 1]

    asyncio.run(told())


def test_a_flood_leaves_the_loop_to_others_and_loses_nothing() -> None:
    async def told() -> None:
        pipe = Pipe()
        os.write(pipe.writing, b"y\n" * 10_000)
        pipe.output._ready()
        seen = len(pipe.lines)
        assert seen > MANY
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(pipe.lines) == seen  # it waits, although there is more
        assert len(await pipe.end()) == 10_000

    asyncio.run(told())


def test_what_is_in_the_pipe_can_be_taken_at_once() -> None:
    async def told() -> None:
        pipe = Pipe()
        os.write(pipe.writing, b"now\nwithout an end")
        pipe.output.drain()
        assert pipe.lines == ["now", "without an end"]
        pipe.output.drain()
        await pipe.end()
        pipe.output.drain()

    asyncio.run(told())


def closed(when: Callable[[Pipe], Any]) -> list[str]:
    async def told() -> list[str]:
        pipe = Pipe()
        when(pipe)
        pipe.output.close()
        pipe.output.close()
        os.close(pipe.writing)
        return pipe.lines

    return asyncio.run(told())


def test_a_pipe_that_somebody_holds_open_is_closed_and_its_last_words_are_kept() -> None:
    def half_a_line(pipe: Pipe) -> None:
        os.write(pipe.writing, b"half a line")
        pipe.output.drain()

    assert closed(half_a_line) == ["half a line"]
    assert closed(lambda pipe: None) == []
    assert len(closed(lambda pipe: (os.write(pipe.writing, b"y\n" * 5_000), pipe.output._ready()))) == 5_000
