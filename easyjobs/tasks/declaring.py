"""Declaring scripts, one by one or a folder of them: what workers and managers have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, Unpack, cast

from easyjobs.core.task import is_name
from easyjobs.errors import RegistrationError
from easyjobs.tasks.decorator import ScriptTask
from easyjobs.tasks.interpreters import Interpreters
from easyjobs.tasks.options import TaskOptions
from easyjobs.tasks.scripts import Mode, Script, Vector, name_of_script, path_of, scripts_check, scripts_in


class DeclaresScripts:
    """`script` and `scripts`, for who has `task`."""

    def script(
        self,
        path: str | PurePath,
        *,
        namespace: str | Sequence[str] | None = None,
        name: str | None = None,
        folder: str | None = None,
        interpreters: Interpreters | None = None,
        result: Mode = "markers",
        **options: Unpack[TaskOptions],
    ) -> ScriptTask:
        """Declare a script as a task: `grab = worker.script("bonds/grab.py", retries=3)`; the arguments of its jobs are
        those of its command line, `await grab("--year", 2024)`. As a decorator, the function's parameters are the
        task's, and the list that it returns is the command line.

        Its name is its path with dots for slashes, `bonds.grab.py`. The script succeeds when it ends with status 0 and
        has printed an object with `"status": "success"` between the lines `== RESULT START ==` and `== RESULT END ==`;
        with `result="exit"`, status 0 is enough.

        :param folder: where `path` is, and the script runs (EASYJOBS_SCRIPTS, else the working folder).
        :param interpreters: what runs it by its extension, `{".R": ["Rscript", "--vanilla"]}`.
        :raises RegistrationError: it is not there, lies outside, or what runs it is missing.
        """
        path = path_of(path)
        program = Script(path, folder, interpreters or {}, result)
        given = cast("TaskOptions", {**options, "script": program})

        def declare(function: Callable[..., Any]) -> ScriptTask:
            where: dict[str, Any] = {} if namespace is None else {"namespace": namespace}
            bound = cast("Any", self).task(name=name or name_of_script(path), **where, **given)(function)
            return cast("ScriptTask", bound)

        plain = declare(Vector(path))
        plain.declare = declare
        return plain

    def scripts(
        self,
        folder: str,
        queue: str | Sequence[str] | None = None,
        *,
        interpreters: Interpreters | None = None,
        result: Mode = "markers",
        **options: Unpack[TaskOptions],
    ) -> list[ScriptTask]:
        """Declare every script of a folder and the folders in it, as `script` does; those of one folder may be called
        again, for what was added.

        A script is a file with a known extension (`.py`, `.R`, those of `interpreters`) or a `#!` in its first line, or
        a program; hidden files and `__init__.py` are none.

        :raises RegistrationError: one of them cannot run here, or its path is no name for a task; names all such, and
            then none is declared. ConfigurationError: the folder cannot be read.
        """
        paths = scripts_in(folder, interpreters)
        reasons = [problem.reason for problem in scripts_check(folder, paths, interpreters)]
        reasons += [
            f"{path!r} has a name that no task can have (1 to 128 of A-Z a-z 0-9 _ . -): rename it, or declare it with "
            "script(path, name=...)"
            for path in paths
            if not is_name(name_of_script(path))
        ]
        if reasons:
            raise RegistrationError(f"the folder of scripts {folder!r}: " + "; ".join(reasons))
        return [
            self.script(path, namespace=queue, folder=folder, interpreters=interpreters, result=result, **options)
            for path in paths
        ]
