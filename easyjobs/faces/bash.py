"""Taskflow's tasks that are a command of the shell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from easyjobs.errors import ConfigurationError, RegistrationError
from easyjobs.faces.instances import TaskInstance
from easyjobs.faces.tasks import Task
from easyjobs.tasks.scripts import Command

PARAMS: Final = "TASKFLOW_PARAMS"


class BashTask(Task):
    """Runs a command with `bash -c`, in a process of its own; it completes when that ends with status 0. What it prints
    is the job's log, line by line while it runs.

    The command is the author's: parameters of a job never become part of it. They are in its environment as the JSON
    text TASKFLOW_PARAMS; who needs more overrides `get_command`.

    :param command: what to run.
    :param env: added to its environment.
    :param input_file: what it reads; nothing, if that is not given.
    :param output_file: what it writes to, in place of the log; what stood there is overwritten.
    :param cwd: the folder in which it runs, and where the files are if they are not absolute; else the worker's own.
    :param task: `name`, `workflow`, and all else that a `Task` takes.
    :raises RegistrationError: it cannot be as written.
    """

    def __init__(
        self,
        command: str | None = None,
        *,
        env: Mapping[str, str] | None = None,
        input_file: str | None = None,
        output_file: str | None = None,
        cwd: str | None = None,
        **task: Any,
    ) -> None:
        super().__init__(**task)
        if command is None and type(self).get_command is BashTask.get_command:
            raise RegistrationError(f"task {self.name!r}: BashTask needs a command=")
        if command is not None and (not isinstance(command, str) or "\0" in command):
            raise RegistrationError(
                f"task {self.name!r}: a command is a text for bash, such as 'ls -l', not {command!r}"
            )
        self.command = command
        try:
            self.program = Command(("env",), dict(env or {}), cwd, input_file, output_file).complete()
        except ConfigurationError as error:
            raise RegistrationError(f"task {self.name!r}: {error}") from None

    def get_command(self, task_instance: TaskInstance) -> str:
        """The command of one execution; called in the worker. Override it for one that depends on parameters or on
        what came before, and quote what you put into it: `shlex.quote`.
        """
        return self.command or ""

    def execute(self, task_instance: TaskInstance) -> Any:
        """What `env` is given to run the command."""
        params = json.dumps(task_instance.params)
        return [f"{PARAMS}={params}", "bash", "-c", self.get_command(task_instance)]
