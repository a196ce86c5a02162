"""Lines that are numbered by whoever says them: said twice, left out, dropped."""

from __future__ import annotations

from easyjobs.core.changes import AppendLogs, Applied
from easyjobs.testing.conformance.story import Cases, Play, story


def said(first: int, *texts: str, attempt: int = 1, **more: object) -> AppendLogs:
    """Lines of "j1", numbered from `first`."""
    return AppendLogs("j1", [(attempt, 1.0, "info", text) for text in texts], first=first, **more)  # type: ignore[arg-type]


async def shown(play: Play) -> list[tuple[int, str]]:
    """What a reader sees of "j1"."""
    return [(line.n, line.text) for line in await play.store.logs("j1")]


class LineCases(Cases):
    """`AppendLogs` with `first`."""

    @story
    async def test_numbered_lines_that_are_said_again_are_kept_once(self, play: Play) -> None:
        await play.add(play.job("j1"))
        await play.commit(said(1, "a", "b"), said(1, "a", "b"))
        await play.commit(said(2, "b", "c"), said(4, "d"))
        assert await shown(play) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
        assert await play.commit(said(1, "a", "b", "c", "d")) == [Applied()]
        assert len(await shown(play)) == 4

    @story
    async def test_the_cursor_steps_over_numbers_that_were_left_out(self, play: Play) -> None:
        await play.add(play.job("j1"))
        await play.commit(said(1, "a"))
        await play.commit(said(11, "k"), said(13, "m"))
        assert await shown(play) == [(1, "a"), (11, "k"), (13, "m")]

    @story
    async def test_each_attempt_and_each_voice_has_numbers_of_its_own(self, play: Play) -> None:
        await play.add(play.job("j1"))
        await play.commit(said(1, "worker"), said(1, "child", voice="child"), AppendLogs("j1", [(1, 1.0, "info", "-")]))
        await play.commit(said(1, "worker"), said(2, "again", voice="child"), said(2, "worker 2"))
        await play.commit(said(1, "later", attempt=2), said(1, "later", attempt=2), said(1, "child", voice="child"))
        assert await shown(play) == [
            (1, "worker"),
            (2, "child"),
            (3, "-"),
            (4, "again"),
            (5, "worker 2"),
            (6, "later"),
        ]

    @story
    async def test_lines_are_dropped_by_number(self, play: Play) -> None:
        await play.add(play.job("j1"))
        await play.commit(said(1, "a", "b", "c", "d"), said(1, "x", "y", "z", voice="child"))
        await play.commit(said(6, "f", drop=(2, 3)))
        assert [text for _, text in await shown(play)] == ["a", "d", "x", "y", "z", "f"]
        assert (await shown(play))[-1] == (9, "f")

    @story
    async def test_what_is_said_with_a_drop_is_never_dropped_by_it(self, play: Play) -> None:
        await play.add(play.job("j1"))
        await play.commit(said(1, "a", "b"))
        await play.commit(said(3, "c", "d", drop=(-5, 99)))
        assert await shown(play) == [(3, "c"), (4, "d")]
        await play.commit(said(3, "c", "d", drop=(1, 99)), said(5, "e"))
        assert await shown(play) == [(3, "c"), (4, "d"), (5, "e")]

    @story
    async def test_without_lines_nothing_happens(self, play: Play) -> None:
        await play.add(play.job("j1"))
        await play.commit(said(1, "a"))
        assert await play.commit(AppendLogs("j1", [], first=2, drop=(1, 1))) == [Applied()]
        assert await shown(play) == [(1, "a")]
