"""What runs a script: what was configured for its extension, Python and R by theirs, any other by its first line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from easyjobs.errors import ConfigurationError

Interpreters = Mapping[str, Sequence[str]]
"""By extension (".R"): a program, and the arguments that stand before the script's path."""

_SHEBANG: Final = 256
_ELF: Final = b"\x7fELF"


def command_of(file: Path, shown: str, interpreters: Interpreters) -> list[str]:
    """The command that runs a script, which further arguments may follow.

    `.py` runs with this very Python and `.R` with Rscript, unless `interpreters` says otherwise; any other by its first
    line (`#!…`, executable or not), `.sh` without one with sh; a program that is no text by itself.

    :param shown: the script as errors name it.
    :raises ConfigurationError: it may not be read, nothing says what runs it, or that is not on this machine; says
        which.
    """
    if not os.access(file, os.R_OK):
        raise ConfigurationError(f"{shown} cannot be read: Permission denied")
    interpreter = _interpreter(file, interpreters)
    if interpreter is None:
        raise ConfigurationError(
            f"nothing says what runs {shown}: let it begin with #! and a program, or name one for its extension, "
            f"interpreters={{{_extension(file) or '.ext'!r}: ['program']}} (or EASYJOBS_INTERPRETERS)"
        )
    if not interpreter:
        return [str(file)]
    for program in _needed(interpreter):
        if shutil.which(program) is None:
            remedy = "install R" if program == "Rscript" else "install it"
            raise ConfigurationError(
                f"{shown} runs with {program}, which is not found here: {remedy}, put it on the PATH, or name another "
                "with interpreters= (or EASYJOBS_INTERPRETERS)"
            )
    return [*interpreter, str(file)]


def is_script(file: Path, interpreters: Interpreters) -> bool:
    """Whether a file of a folder is a script: something says what runs it, or it is an executable program."""
    return _interpreter(file, interpreters) is not None


def _interpreter(file: Path, interpreters: Interpreters) -> list[str] | None:
    """What runs a file: an empty list for one that runs by itself, None where nothing tells."""
    extension = _extension(file)
    if extension in interpreters:
        return list(interpreters[extension])
    if extension == ".py":
        return [sys.executable]
    if extension.lower() == ".r":
        return ["Rscript"]
    try:
        with file.open("rb") as opened:
            start = opened.read(_SHEBANG)
    except OSError:
        return None
    if start.startswith(b"#!"):
        line = os.fsdecode(start[2:].partition(b"\n")[0]).strip()
        words = line.split(maxsplit=1)  # as the kernel has it: all behind the program is one argument
        return words or None
    if extension == ".sh":
        return ["sh"]
    if start.startswith(_ELF) and os.access(file, os.X_OK):
        return []
    return None


def _needed(interpreter: Sequence[str]) -> list[str]:
    """The programs that must be there: of `/usr/bin/env [-S] x` both."""
    program, *rest = interpreter
    if PurePath(program).name != "env":
        return [program]
    words = [word for part in rest for word in part.split() if not word.startswith("-") and "=" not in word]
    return [program, *words[:1]]


def _extension(file: Path) -> str:
    return file.suffix
