"""All commands, each imported when it is called: a worker loads no HTTP client and no web framework."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from easyjobs import __version__
from easyjobs.cli.text import plain
from easyjobs.errors import EasyJobsError

COMMANDS: Final = (
    "manager",
    "worker",
    "pull-worker",
    "scheduler",
    "api-server",
    "run",
    "schedule",
    "run-until-empty",
    "jobs",
    "workflows",
    "runs",
    "schedules",
    "check",
    "db",
    "workers",
    "pause",
    "resume",
    "alerts",
)


class _Commands(click.Group):
    """Finds a command in the module of its name, and turns our own errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use; those of an application, where one is named."""
        return list(COMMANDS) if ctx.params.get("taskflow") is None else _taskflow().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The object `command` of `easyjobs.cli.<name>`; an underscore is as good as a dash."""
        if ctx.params.get("taskflow") is not None:
            return _taskflow().get_command(ctx, cmd_name)
        if cmd_name.replace("_", "-") not in COMMANDS:
            return None
        command: click.Command = import_module(f"easyjobs.cli.{cmd_name.replace('-', '_')}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EasyJobsError as error:
            raise click.ClickException(plain(str(error))) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="easyjobs")
@click.option("--taskflow", is_eager=True, metavar="MODULE:OBJECT", help="The commands of an application of Taskflow.")
@click.pass_context
def commands(ctx: click.Context, taskflow: str | None) -> None:
    """Background jobs for FastAPI, with no broker to run."""
    if taskflow is not None:
        ctx.obj = import_module("easyjobs.cli.taskflow").find(taskflow)


def _taskflow() -> click.Group:
    group: click.Group = import_module("easyjobs.cli.taskflow").commands
    return group
