"""What all commands share that ask a manager: where it is, the secret, and how answers are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from easyjobs.cli.http import Api
from easyjobs.cli.secret import read_secret, secret_option
from easyjobs.cli.text import plain
from easyjobs.errors import Refused
from easyjobs.settings import worker_settings

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "raw", is_flag=True, help="Print JSON.")


def manager_options(function: F) -> F:
    """Give a command the options `--url`, `--insecure` and `--secret-file`, which `connect` takes."""
    for option in (
        secret_option,
        click.option("--insecure", is_flag=True, help="Let the secret cross a network without TLS."),
        click.option(
            "--url",
            default="http://127.0.0.1:8220",
            show_default=True,
            envvar=["EASYJOBS_URL", "EASYJOBS_MANAGER_URL"],
            help="The manager: http[s]://host[:port][/prefix] (else EASYJOBS_URL, else EASYJOBS_MANAGER_URL).",
        ),
    ):
        function = option(function)
    return function


def connect(ctx: click.Context, url: str, insecure: bool, secret_file: str | None) -> None:
    """Give the commands of a group the manager's API, as their object.

    :raises ConfigurationError: the URL or the secret will not do.
    """
    secret = worker_settings(manager_secret=read_secret(secret_file)).manager_secret
    ctx.obj = ctx.with_resource(Api(url, secret, insecure=insecure))


def each(
    ids: Sequence[str], do: Callable[[str], dict[str, Any]], said: Callable[[str, dict[str, Any]], str], raw: bool
) -> None:
    """Do it for every id, also after one that was refused; then end with 1 if any was."""
    done: list[dict[str, Any]] = []
    refused = False
    for id in ids:
        try:
            done.append(do(id))
        except Refused as error:
            if error.status in (401, 403):
                raise  # it would be the same for all
            click.echo(f"Error: {plain(id)}: {plain(str(error))}", err=True)
            refused = True
        else:
            if not raw:
                click.echo(plain(said(id, done[-1])))
    if raw:
        print_json(done)
    if refused:
        sys.exit(1)


def shown_time(text: str | None) -> str:
    """A time of the API to the second, for people."""
    return "" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def print_json(value: object) -> None:
    """Print an answer as JSON, for programs."""
    click.echo(json.dumps(value, indent=2))  # ASCII: whatever a terminal would obey is escaped
