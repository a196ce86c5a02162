"""What `easyjobs pause` and `easyjobs resume` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from easyjobs.cli.asking import as_json, connect, each, manager_options
from easyjobs.cli.http import Api

KINDS: Final = ("queue", "task", "worker", "workers")
ALL: Final = "all"
EXAMPLES: Final = {
    "queue": "easyjobs {verb} queue mail",
    "task": "easyjobs {verb} task mail:send",
    "worker": "easyjobs {verb} worker ID, as `easyjobs workers` shows it",
}


def pausing_command(verb: str, said: str, short: str, help: str) -> click.Command:
    """The command `verb`, which posts `verb` to each of what it is given, and says `said` of it."""

    @click.command(verb, short_help=short, help=help)
    @click.argument("kind", type=click.Choice(KINDS))
    @click.argument("names", metavar="[NAME]...", nargs=-1)
    @manager_options
    @as_json
    @click.pass_context
    def command(
        ctx: click.Context,
        kind: str,
        names: Sequence[str],
        url: str,
        insecure: bool,
        secret_file: str | None,
        raw: bool,
    ) -> None:
        if kind == "workers":
            if names:
                raise click.UsageError(f"`workers` are all; one of them is: easyjobs {verb} worker ID")
            names = (ALL,)
        elif not names:
            raise click.UsageError(f"which {kind}? {EXAMPLES[kind].format(verb=verb)}")
        paths = {name: _path(kind, name) for name in names}
        connect(ctx, url, insecure, secret_file)
        api: Api = ctx.obj

        def do(name: str) -> dict[str, Any]:
            answer: dict[str, Any] = api.post(*paths[name], verb)
            return answer

        def told(name: str, _: dict[str, Any]) -> str:
            return f"all workers {said}" if kind == "workers" else f"{kind} {name} {said}"

        each(names, do, told, raw)

    return command


def _path(kind: str, name: str) -> tuple[str, ...]:
    """The path of the API below which it is paused and resumed."""
    if kind == "workers":
        return ("workers",)
    if kind == "task":
        queue, colon, task = name.partition(":")
        if not (queue and colon and task):
            raise click.UsageError(f"a task is QUEUE:NAME, as mail:send, and not {name!r}")
        return ("queues", queue, "tasks", task)
    return (f"{kind}s", name)
