"""The `easyjobs` command: a manager, a worker, and a look at jobs, from a terminal."""

from __future__ import annotations

import io
import os
import sys
import traceback
from types import TracebackType

DEBUG = "EASYJOBS_DEBUG"


def main() -> None:
    """Run the command with the arguments of the process; ends the process.

    Exit codes: 0 it is done, 1 it failed or was not found, 2 it was called wrongly. An error is one line on stderr.
    """
    sys.excepthook = in_one_line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show must not end us
    from easyjobs.cli.commands import commands  # after the hook: nothing that goes wrong ends in a traceback

    commands.main(prog_name="easyjobs")


def in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say what ended the process, and where; the whole traceback with EASYJOBS_DEBUG=1."""
    if os.environ.get(DEBUG):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"Error: {in_short(error, trace)}\n")


def in_short(error: BaseException, trace: TracebackType | None = None) -> str:
    """What went wrong in somebody's code, and where, in one line."""
    from easyjobs.cli.text import plain

    frames = traceback.extract_tb(trace or error.__traceback__)
    package = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib may be what is broken
    place = next((f for f in reversed(frames) if not f.filename.startswith((package, "<"))), None)
    at = f"{place.filename}:{place.lineno}; " if place else ""
    what = plain(f"{type(error).__name__}: {error}")
    if isinstance(error, SyntaxError) and error.filename:  # its frames are those of who wanted to read it
        at = plain(f"{error.filename}:{error.lineno}; ")
        what = plain(f"{type(error).__name__}: {error.msg}")
    return f"{what} ({at}{DEBUG}=1 shows the traceback)"
