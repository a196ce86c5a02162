"""Settings from arguments and from `EASYJOBS_*` variables, typed and checked, with errors that name the variable.

An argument wins over its variable, the variable over the default. This is the one place that reads the environment.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from easyjobs.errors import ConfigurationError

S = TypeVar("S", bound=msgspec.Struct)

Seconds = Annotated[float, Meta(gt=0, le=31_536_000_000)]
Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Prefix = Annotated[str, Meta(pattern=r"\A((/[A-Za-z0-9_.~-]+)*)\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=1024)]

SHORT: Final = 4
"""A secret of so few characters is no reason to take a variable of the same value for it: PORT may be 8220 too."""

_PLACE: Final = ("manager_url", "manager_host", "manager_port")

_WITH_PASSWORDS: Final = ("EASYJOBS_STORE", "EASYJOBS_WEBHOOK_URL", "EASYJOBS_SLACK_WEBHOOK")

WITHHELD: Final = "withheld-from-child-processes"

# where the variable is not EASYJOBS_ and the field's name, or where one more stands behind it
_VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "server_secret": ("EASYJOBS_SECRET",),
    "manager_host": ("EASYJOBS_MANAGER_HOST", "MANAGER_HOST"),
    "manager_port": ("EASYJOBS_MANAGER_PORT", "MANAGER_PORT"),
    "manager_secret": ("EASYJOBS_MANAGER_SECRET", "EASYJOBS_SECRET"),
    "worker_task_dir": ("EASYJOBS_WORKER_TASK_DIR", "WORKER_TASK_DIR"),
    "system_process_units": ("EASYJOBS_SYSTEM_PROCESS_UNITS", "JOBMASTER_SYSTEM_PROCESS_UNITS"),
}
JOBMASTER_UNITS: Final = "JOBMASTER_SYSTEM_PROCESS_UNITS"
"""One that is no integer is as good as none."""


class ManagerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a manager may be told. Times in seconds, sizes in bytes.

    `prefix` is where its routes live ("" or "/some/path"). `open_docs` opens `/docs` and `/openapi.json` to everybody.
    `max_tasks_per_worker` is how many jobs its embedded worker runs at once, `threads` how many of them in threads.
    `keep_completed` and `keep_others` are how long jobs that have ended are kept, `keep_rows` how many of them at most,
    and `keep_bytes` what the store may take before the oldest of them go; `keep_tasks` is how long a task is known that
    no worker offers and no job, schedule or pause is for. `scheduler` is whether it fires schedules and
    does what else one process is enough for; without, an `easyjobs scheduler` must. `webhook_url` and `slack_webhook`
    are told what happens, as a `WebhookMonitor` and a `SlackMonitor`. The rest: `hub.settings`.
    """

    server_secret: Name | None = None
    store: str = "sqlite:///easyjobs.db"
    prefix: Prefix = ""
    open_docs: bool = False
    max_tasks_per_worker: Count = 100
    threads: Count | None = None
    lease: Seconds = 30.0
    heartbeat: Seconds = 5.0
    grace: Seconds = 5.0
    queue_depth: Count = 1_000_000
    warn_depth: Count = 100_000
    keep_rows: Count | None = None
    keep_bytes: Count | None = None
    keep_completed: Seconds = 7 * 86_400.0
    keep_others: Seconds = 30 * 86_400.0
    keep_tasks: Seconds = 30 * 86_400.0
    max_arguments: Bytes = 262_144
    max_result: Bytes = 1_048_576
    stop_grace: Seconds = 25.0
    scheduler: bool = True
    webhook_url: Name | None = None
    slack_webhook: Name | None = None


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker may be told. Times in seconds.

    `manager_url` ("ws[s]://host[:port][/prefix]") stands in place of `manager_host` and `manager_port`. `jobs_queue` is
    one queue or several, in its variable with commas between. `worker_task_dir` is the folder with the files of
    `subprocess=True`; its variable is read anew for each job. `system_process_units` is what the jobs that run on this
    machine, in all its workers, may take together; the machine is its host name, unless `system_id` says otherwise.
    """

    manager_secret: Name | None = None
    manager_url: Name | None = None
    manager_host: Name = "127.0.0.1"
    manager_port: Port = 8220
    jobs_queue: tuple[Name, ...] = ("DEFAULT",)
    max_tasks_per_worker: Count = 100
    threads: Count | None = None
    name: Name | None = None
    worker_id: Name | None = None
    system_id: Name | None = None
    system_process_units: Count | None = None
    drain_grace: Seconds = 25.0
    worker_task_dir: Name | None = None


def manager_settings(environ: Mapping[str, str] | None = None, **given: Any) -> ManagerSettings:
    """A manager's settings. Arguments that are None count as not given.

    The store is `EASYJOBS_STORE`, else `job_manager.db` in the folder that `DB_PATH` names, else `easyjobs.db` here.

    :raises ConfigurationError: a value is out of range, or two contradict each other.
    """
    environ = os.environ if environ is None else environ
    folder = environ.get("DB_PATH")
    if folder and given.get("store") is None and not environ.get("EASYJOBS_STORE"):
        given["store"] = f"sqlite:///{folder.rstrip('/')}/job_manager.db"
    settings = _settings(ManagerSettings, given, environ)
    if settings.heartbeat * 2 > settings.lease:
        raise ConfigurationError(
            f"heartbeat is {settings.heartbeat:g} s and lease {settings.lease:g} s: a lease must last two heartbeats, "
            "so that one lost word does not cost a worker its jobs"
        )
    if settings.warn_depth > settings.queue_depth:
        raise ConfigurationError(
            f"warn_depth is {settings.warn_depth} and queue_depth {settings.queue_depth}: the warning would never come"
        )
    return settings


def worker_settings(environ: Mapping[str, str] | None = None, **given: Any) -> WorkerSettings:
    """A worker's settings. Arguments that are None count as not given.

    :raises ConfigurationError: a value is out of range.
    """
    if isinstance(given.get("jobs_queue"), str):
        given["jobs_queue"] = [given["jobs_queue"]]
    environ = dict(os.environ if environ is None else environ)
    try:
        environ[JOBMASTER_UNITS] = str(int(environ.get(JOBMASTER_UNITS, "")))
    except ValueError:
        environ.pop(JOBMASTER_UNITS, None)  # it counts for nothing, as it always has
    return _settings(WorkerSettings, given, environ)


def named_manager(prefix: str = "", environ: Mapping[str, str] | None = None) -> str | None:
    """The URL of the manager that the environment names as of now; None where it names none. `prefix` is where its
    routes live, if only host and port are named.

    :raises ConfigurationError: what is named is no port.
    """
    environ = os.environ if environ is None else environ
    if not any(environ.get(name) for field in _PLACE for name in variables(field)):
        return None
    settings = worker_settings(environ)
    host = settings.manager_host
    return settings.manager_url or f"ws://{f'[{host}]' if ':' in host else host}:{settings.manager_port}{prefix}"


def task_dir(given: str | None = None, environ: Mapping[str, str] | None = None) -> str | None:
    """The folder with the files of `subprocess=True` tasks as of now; None where nobody names one."""
    environ = os.environ if environ is None else environ
    return given or next((environ[name] for name in variables("worker_task_dir") if environ.get(name)), None)


def scripts_folder(given: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """The folder of scripts as of now: EASYJOBS_SCRIPTS, else the working folder, where nobody names one."""
    environ = os.environ if environ is None else environ
    return given or environ.get("EASYJOBS_SCRIPTS") or "."


def interpreters_here(environ: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """What EASYJOBS_INTERPRETERS says as of now, by extension: ".R=Rscript --vanilla; .jl=julia".

    :raises ConfigurationError: it says something else.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, list[str]] = {}
    for part in filter(str.strip, environ.get("EASYJOBS_INTERPRETERS", "").split(";")):
        extension, _, command = (piece.strip() for piece in part.partition("="))
        try:
            words = shlex.split(command)
        except ValueError:
            words = []
        if not extension.startswith(".") or not words:
            raise ConfigurationError(
                f"EASYJOBS_INTERPRETERS: {part.strip()!r} will not do: it is '.ext=program arguments', several with "
                "semicolons between"
            )
        found[extension] = words
    return found


def surroundings_of_children(secret: str, queues: Sequence[str]) -> dict[str, str]:
    """Our environment for a child process that runs our tasks: no variable tells it the secret, under whatever name.

    A variable keeps its name, because the modules that a child loads ask for it; its value is gone. There is always one
    for the secret, so that these modules can make their workers and tasks as they did here. `queues` stand in where a
    command line named them.
    """
    environ = {
        name: WITHHELD if _is_secret(name) or (value == secret and len(secret) > SHORT) else value
        for name, value in os.environ.items()
    }
    environ.setdefault("EASYJOBS_MANAGER_SECRET", WITHHELD)
    environ.setdefault("EASYJOBS_JOBS_QUEUE", ",".join(queues))
    return environ


def surroundings_of_scripts(secret: str, queues: Sequence[str]) -> dict[str, str]:
    """Our environment for a program that knows nothing of us: as `surroundings_of_children`, without the addresses of
    ours that may hold a password.
    """
    environ = surroundings_of_children(secret, queues)
    for name in _WITH_PASSWORDS:
        environ.pop(name, None)
    return environ


def _is_secret(name: str) -> bool:
    return name.startswith("EASYJOBS_") and any(word in name for word in ("SECRET", "TOKEN", "WEBHOOK"))


def variables(field: str) -> tuple[str, ...]:
    """The variables that stand in for an argument, the first that is set wins."""
    return _VARIABLES.get(field, (f"EASYJOBS_{field.upper()}",))


def _settings(shape: type[S], given: Mapping[str, Any], environ: Mapping[str, str]) -> S:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        value, source = given.get(field.name), field.name
        if value is None:
            for variable in variables(field.name):
                if environ.get(variable):
                    value, source = environ[variable], variable
                    break
        if value is not None:
            values[field.name] = _convert(value, field.type, source)
    return shape(**values)


def _convert(value: Any, wanted: Any, source: str) -> Any:
    if isinstance(value, str) and wanted == tuple[Name, ...]:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, str) and wanted is bool:
        value = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value)
    try:
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        if wanted == Prefix:
            raise ConfigurationError(f"{source}: {value!r} will not do: a prefix is a path like /jobs") from None
        hidden = "secret" in source.lower() or "webhook" in source.lower()
        shown = "the value given" if hidden else repr(value)
        raise ConfigurationError(f"{source}: {shown} will not do: {error}") from None
