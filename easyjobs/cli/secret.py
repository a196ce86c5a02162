"""The secret for a command: from a file or the environment. On a command line the whole machine could read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from easyjobs.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])


def secret_option(function: F) -> F:
    """Give a command the option `--secret-file`."""
    return click.option(
        "--secret-file",
        metavar="FILE",
        envvar="EASYJOBS_SECRET_FILE",
        help="Read the secret from this file (else EASYJOBS_SECRET).",
    )(function)


def read_secret(file: str | None) -> str | None:
    """The secret that a file holds, without the line break at its end; None without a file.

    :raises ConfigurationError: the file cannot be read or holds none.
    """
    if file is None:
        return None
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"the secret cannot be read from {file}: {why}") from None
    if not secret:
        raise ConfigurationError(f"{file} is empty; it should hold the secret")
    return secret
