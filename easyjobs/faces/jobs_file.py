"""Taskmaster's `jobs.json`: jobs, of steps, of scripts. Read and judged; nothing of it is run here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from easyjobs.core.workflow import MOST
from easyjobs.errors import ConfigurationError

HIGHEST: Final = 1_000_000
"""The priorities of jobs lie between this and its negative."""

LONGEST: Final = 3650
"""Days that a frequency may be."""


class At(NamedTuple):
    """A script of a plan, by number: of its job, its step there, its place in the step."""

    job: int
    step: int
    place: int


class PlannedJob(msgspec.Struct, frozen=True):
    """A job: its `steps` in order, each the paths of scripts that run side by side. `data` is what the file says of it,
    with what nobody but the events understands. Jobs of a lower `priority` go first; `frequency` is in days.
    """

    name: str
    steps: tuple[tuple[str, ...], ...]
    data: dict[str, Any]
    priority: int = 0
    frequency: int = 1


class Plan(msgspec.Struct, frozen=True):
    """The jobs of a file."""

    jobs: tuple[PlannedJob, ...]

    def scripts(self) -> Iterator[tuple[At, str]]:
        """All scripts, job after job and step after step; a path may be there several times."""
        for j, job in enumerate(self.jobs):
            for s, step in enumerate(job.steps):
                for p, path in enumerate(step):
                    yield At(j, s, p), path

    def step_before(self, at: At) -> list[At]:
        """The scripts of the step before: its parents."""
        return self._step(at.job, at.step - 1)

    def step_after(self, at: At) -> list[At]:
        """The scripts of the step after: its children."""
        return self._step(at.job, at.step + 1)

    def path(self, at: At) -> str:
        """The path of a script."""
        return self.jobs[at.job].steps[at.step][at.place]

    def _step(self, job: int, step: int) -> list[At]:
        steps = self.jobs[job].steps
        return [At(job, step, place) for place in range(len(steps[step]))] if 0 <= step < len(steps) else []


def read_plan(file: str | Path) -> Plan:
    """The plan that a file holds.

    :raises ConfigurationError: it cannot be read, is no JSON (says line and column), or does not have the shape; says
        all places where it has not.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"{file} cannot be read: {why}") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{file}, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else "it is nested too deep"
        raise ConfigurationError(f"{file}: {why}") from None
    return plan_of(value, str(file))


def plan_of(value: Any, where: str = "jobs") -> Plan:
    """The plan that decoded JSON is. `where` names it in errors.

    :raises ConfigurationError: it does not have the shape; says all places where it has not, each in a line.
    """
    if not isinstance(value, list) or not value:
        raise ConfigurationError(f"{where}: a list of jobs is wanted: [{{'name': …, 'steps': ['script.py']}}]")
    wrong: list[str] = []
    jobs = [_job(one, f"[{number}]", wrong) for number, one in enumerate(value)]
    number = sum(len(step) for job in jobs for step in job.steps)
    if not wrong and number > MOST:
        wrong.append(f"a run has at most {MOST} scripts, not {number}")
    if wrong:
        raise ConfigurationError("\n".join(f"{where}: {reason}" for reason in wrong))
    return Plan(tuple(jobs))


def _job(value: Any, at: str, wrong: list[str]) -> PlannedJob:
    if not isinstance(value, dict):
        wrong.append(f"{at}: a job is an object with name and steps, not {_shown(value)}")
        return PlannedJob("", (), {})
    name = value.get("name")
    if not isinstance(name, str) or not name.strip():
        wrong.append(f"{at}.name: a job needs a name, not {_shown(name)}")
        name = ""
    steps = value.get("steps")
    if not isinstance(steps, list) or not steps:
        wrong.append(f"{at}.steps: a job needs a list of steps, not {_shown(steps)}")
        steps = []
    priority = _number(value, "priority", -HIGHEST, HIGHEST, 0, at, wrong)
    frequency = _number(value, "frequency", 1, LONGEST, 1, at, wrong)
    found = tuple(_step(step, f"{at}.steps[{number}]", wrong) for number, step in enumerate(steps))
    return PlannedJob(name, found, value, priority, frequency)


def _step(value: Any, at: str, wrong: list[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_script(value, at, wrong),)
    if not isinstance(value, list) or not value:
        wrong.append(f"{at}: a step is the path of a script, or a list of such, not {_shown(value)}")
        return ()
    return tuple(_script(path, f"{at}[{number}]", wrong) for number, path in enumerate(value))


def _script(value: Any, at: str, wrong: list[str]) -> str:
    if not isinstance(value, str) or not value:
        wrong.append(f"{at}: the path of a script is wanted, not {_shown(value)}")
        return ""
    return value


def _number(value: dict[str, Any], key: str, least: int, most: int, default: int, at: str, wrong: list[str]) -> int:
    number = value.get(key, default)
    if type(number) is not int or not least <= number <= most:
        wrong.append(f"{at}.{key}: a whole number from {least} to {most} is wanted, not {_shown(number)}")
        return default
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"one object has {key!r} twice")
        found[key] = value
    return found


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
