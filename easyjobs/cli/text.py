"""Text for a terminal: tables, and nothing from users that a terminal would obey."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any


def plain(text: str) -> str:
    r"""`text` with everything that is not printable written out (`\x1b`, `\n`, `\u202e`): terminals obey some of it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_of(text: str) -> Any:
    """The value of a JSON text.

    :raises ValueError: it is none, or what Python alone takes for JSON: NaN, numbers without end, half a character.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def drawn(text: str) -> str:
    """A drawing of several lines, with `?` for what this terminal's encoding has not."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "replace").decode(encoding)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. In a terminal drawn by rich, where that is installed; else aligned columns, for other programs."""
    shown = [[plain(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and find_spec("rich") is not None:
        _drawn(headers, shown)
    else:
        for line in aligned(headers, shown):
            sys.stdout.write(line + "\n")


def aligned(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table whose columns are as wide as their widest cell."""
    lines = [[header.upper() for header in headers], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


class LiveTree:
    """A tree of two levels that is drawn anew in place, by rich, which must be installed. `start` it, `show` it any
    number of times, `stop` it.
    """

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(refresh_per_second=4)

    @property
    def height(self) -> int:
        """Lines of the terminal as it is now; of what is higher only its head is seen until `stop`."""
        return self._live.console.size.height

    def start(self) -> None:
        """Take the lines below the cursor."""
        self._live.start()

    def show(self, title: str, branches: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
        """Draw it: each branch has its name, and its leaves with the style of each."""
        from rich.text import Text
        from rich.tree import Tree

        tree = Tree(Text(plain(title)))
        for name, leaves in branches:
            branch = tree.add(Text(plain(name), style="bold"))
            for line, style in leaves:
                branch.add(Text(plain(line), style=style))
        self._live.update(tree, refresh=True)

    def stop(self) -> None:
        """Leave it as it was drawn last."""
        self._live.stop()


def _drawn(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD)
    for at, header in enumerate(headers):
        drawn.add_column(header, overflow="fold", no_wrap=at == 0)  # the first is an id, to be copied whole
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))  # Text: users' brackets are no markup
    Console().print(drawn)
