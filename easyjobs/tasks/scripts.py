"""Scripts as tasks: what a script task runs, and whether it can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from easyjobs.errors import ConfigurationError, RegistrationError
from easyjobs.settings import interpreters_here, scripts_folder
from easyjobs.tasks.interpreters import Interpreters, command_of, is_script
from easyjobs.tasks.manifest import file_of, home_of, paths_in

Mode = Literal["markers", "exit"]
"""Where the result is: in JSON between two lines of the output, or in the exit status alone."""

Word: TypeAlias = str | int | float | bool

MODES = ("markers", "exit")


class Start(NamedTuple):
    """What to start, and where; `argv` is to be followed by the arguments of the job."""

    argv: list[str]
    cwd: str | None


class Script(msgspec.Struct, frozen=True):
    """A script of a folder, by its path there: `@worker.task(script=Script("bonds/bonds.py", folder="scripts"))`.

    `folder` is where EASYJOBS_SCRIPTS says, else the working folder, if it is not given; the script runs in it.
    `interpreters` come before those of EASYJOBS_INTERPRETERS. With `result="exit"` the exit status 0 is success; with
    "markers" the script prints its result.
    """

    path: str
    folder: str | None = None
    interpreters: Interpreters = {}
    result: Mode = "markers"

    def complete(self) -> Script:
        """The same with all that the environment says of it as of now.

        :raises ConfigurationError: there is no such script, or nothing that runs it.
        """
        home = home_of(scripts_folder(self.folder))
        whole = Script(self.path, str(home), {**interpreters_here(), **_extensions(self.interpreters)}, self.result)
        whole.start()
        return whole

    def start(self) -> Start:
        """What runs it, as of now. Of one that is `complete`.

        :raises ConfigurationError: it is not there any more, or what runs it.
        """
        home = home_of(self.folder or "")
        return Start(command_of(file_of(home, self.path), self.path, self.interpreters), str(home))


class Command(msgspec.Struct, frozen=True):
    """A command of the task's author: `Command(("bash", "-c", "sort | uniq -c"), stdin="words.txt")`. It is no line for
    a shell; who wants one names the shell. What the task's function returns follows it.

    `env` is added to the environment. `stdin` and `stdout` are files, within `cwd` where they are not absolute; without
    them its input is empty, and its output the job's log. What stood in `stdout` is overwritten.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    cwd: str | None = None
    stdin: str | None = None
    stdout: str | None = None
    result: Mode = "exit"

    def complete(self) -> Command:
        """Itself.

        :raises ConfigurationError: it names no program, its output goes to a file and is to hold its result, or what is
            no text.
        """
        given: Any = self.argv
        if isinstance(given, str):
            raise ConfigurationError(f"a Command is a program and its arguments, ('ls', '-l'), no line: {self.argv!r}")
        texts = [*self.argv, *self.env, *self.env.values(), self.cwd or "", self.stdin or "", self.stdout or ""]
        if not self.argv or not self.argv[0]:
            raise ConfigurationError("a Command needs a program: Command(('bash', '-c', 'ls'))")
        if not all(isinstance(text, str) and "\0" not in text for text in texts):
            raise ConfigurationError("what a Command holds is text, without NUL")
        if self.stdout is not None and self.result == "markers":
            raise ConfigurationError("a Command whose output goes to a file can print no result: use result='exit'")
        return self

    def start(self) -> Start:
        """What to run."""
        return Start(list(self.argv), self.cwd)


Program: TypeAlias = Script | Command


class Problem(NamedTuple):
    """Why a script cannot run here."""

    path: str
    reason: str

    def __str__(self) -> str:
        return self.reason


def program_of(given: Any, where: str) -> Program | None:
    """What `script=` says, complete; None where it says nothing.

    :param where: names the task and its place in the error.
    :raises RegistrationError: it is no script, or cannot run here.
    """
    if given is None:
        return None
    program = shape_of(given, where)
    try:
        return program.complete()
    except ConfigurationError as error:
        raise RegistrationError(f"{where}: {error}") from None


def shape_of(given: Any, where: str) -> Program:
    """What `script=` says, as it is.

    :raises RegistrationError: it is no script.
    """
    program = Script(path_of(given)) if isinstance(given, (str, PurePath)) else given
    if not isinstance(program, (Script, Command)):
        raise RegistrationError(f"{where}: script must be a path, a Script or a Command, not {given!r}")
    if program.result not in MODES:
        raise RegistrationError(f"{where}: result must be 'markers' or 'exit', not {program.result!r}")
    return program


def path_of(given: Any) -> str:
    """The path of a script, as text.

    :raises RegistrationError: it is none.
    """
    path = given.as_posix() if isinstance(given, PurePath) else given
    if not isinstance(path, str):
        raise RegistrationError(f"a script is named by its path, such as 'bonds/bonds.py', not by {given!r}")
    return path


def scripts_in(folder: str | Path, interpreters: Interpreters | None = None) -> list[str]:
    """The paths of all scripts of a folder and the folders in it, sorted; hidden ones (`.git`) and `__init__.py` are
    none.

    :raises ConfigurationError: the folder cannot be read.
    """
    home, known = home_of(folder), {**interpreters_here(), **_extensions(interpreters or {})}
    return [path for path in paths_in(home) if is_script(home / path, known)]


def scripts_check(folder: str | Path, paths: Iterable[str], interpreters: Interpreters | None = None) -> list[Problem]:
    """Why scripts of a folder, by their paths there, cannot run on this machine: one that is not there or lies outside,
    or whose interpreter is missing. Nothing is run. Empty: all can.
    """
    problems = []
    for path in dict.fromkeys(paths):
        try:
            Script(path, str(folder), interpreters or {}).complete()
        except ConfigurationError as error:
            problems.append(Problem(path, str(error)))
    return problems


def name_of_script(path: str) -> str:
    """What a script's task is called if nobody names it: its path, with dots for slashes."""
    return path.replace("/", ".")


class Vector:
    """The function of a script that nobody wrote one for: its arguments are those of the command line."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.__doc__ = f"Runs {path}."

    async def __call__(self, *args: str | int | float | bool) -> list[Word]:
        """The arguments as they are."""
        return list(args)

    def __repr__(self) -> str:
        return f"<script {self._path}>"


def _extensions(interpreters: Interpreters) -> Interpreters:
    if isinstance(interpreters, Mapping):
        for extension, command in interpreters.items():
            if (
                not isinstance(extension, str)
                or not extension.startswith(".")
                or isinstance(command, str)
                or not command
            ):
                break
        else:
            return interpreters
    raise ConfigurationError(f"interpreters are such as {{'.R': ['Rscript', '--vanilla']}}, not {interpreters!r}")
