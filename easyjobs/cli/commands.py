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
        """In the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The object `command` of `easyjobs.cli.<name>`; an underscore is as good as a dash."""
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
def commands() -> None:
    """Background jobs for FastAPI, with no broker to run."""
