"""The parameters of a task as data: what a call must give, and the JSON Schema of each.

`bind` judges the names; the types are judged by whoever holds a JSON Schema validator (hub/arguments.py), against
`Signature.schema()`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal

import msgspec

from easyjobs.errors import ArgumentsRefused

ALL: Final = "ALL"
"""What is said for a parameter in place of each of its values: see `core/groups.py`."""

Kind = Literal["positional", "either", "keyword", "args", "kwargs"]


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One parameter. `schema` is its JSON Schema ({} allows anything); `default` is for people and the docs, and is
    left out where JSON cannot say it; `description` is for them too. One that is `hidden` is given by the run that a
    job is part of, and by nobody else; a task that has one takes no `**kwargs`.
    """

    name: str
    schema: dict[str, Any] = {}
    kind: Kind = "either"
    required: bool = True
    default: Any = msgspec.UNSET
    description: str = ""
    hidden: bool = False

    def described(self, schema: dict[str, Any]) -> dict[str, Any]:
        """`schema` with what people are told of the parameter."""
        return {**schema, "description": self.description} if self.description else schema


class _Plan(msgspec.Struct, frozen=True):
    """What `bind` asks of a signature at every call, sorted once."""

    places: list[str]
    names: frozenset[str]  # everything that may be given by name, `*args` too
    required: list[str]
    rest: str | None
    more: bool


class Signature(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """All parameters of a task, in order, with the `$defs` that their schemas refer to.

    `returns` is the JSON Schema of the result, for the docs; it takes no part in the hash.
    """

    parameters: tuple[Parameter, ...] = ()
    defs: dict[str, Any] = {}
    returns: dict[str, Any] = {}

    @cached_property
    def hash(self) -> str:
        """16 hex digits that are equal when, and only when, the parameters and their types are."""
        facts = msgspec.json.encode(
            [[(p.name, p.kind, p.required, p.schema) for p in self.parameters], self.defs], order="sorted"
        )
        return hashlib.sha256(facts).hexdigest()[:16]

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments as one object, as the HTTP body has them: without those that are hidden.

        A `*args` parameter is an array under its own name; `**kwargs` opens the object to more properties.
        """
        properties: dict[str, Any] = {}
        required: list[str] = []
        more: Any = False
        for p in self.parameters:
            if p.hidden:
                continue
            if p.kind == "kwargs":
                more = p.schema or True
            elif p.kind == "args":
                properties[p.name] = p.described({"type": "array", "items": p.schema or True})
            else:
                shown = not p.required and p.default is not msgspec.UNSET
                properties[p.name] = p.described({**p.schema, "default": p.default} if shown else p.schema)
                if p.required:
                    required.append(p.name)
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": more}
        if required:
            schema["required"] = required
        if self.defs:
            schema["$defs"] = self.defs
        return schema

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The call as one object that `schema()` describes. Binding that object again, by name, gives it back.

        JSON knows names only, so every parameter may be given by its name: positional-only ones, and a `*args` as
        an array, too.

        :param args: what was given by place, `kwargs`: what was given by name; neither is changed.
        :raises ArgumentsRefused: something is missing, surplus, or given twice; `errors` has each place
            (`["args", 2]`, `["kwargs", "name"]`) and reason. Types are not judged here.
        """
        plan = self._plan
        places = plan.places
        errors: list[dict[str, Any]] = []
        bound: dict[str, Any] = dict(zip(places, args, strict=False))
        if len(args) > len(places):
            if plan.rest is not None:
                bound[plan.rest] = list(args[len(places) :])
            else:
                takes = f"takes {len(places)}" if places else "takes none"
                errors.extend(
                    {"loc": ["args", i], "message": f"surplus argument: the task {takes} by place"}
                    for i in range(len(places), len(args))
                )
        for name, value in kwargs.items():
            if name in bound:
                errors.append({"loc": ["kwargs", name], "message": "given twice, by place and by name"})
            elif name in plan.names or plan.more:
                bound[name] = value
            else:
                names = ", ".join(p.name for p in self.parameters if not p.hidden) or "none"
                errors.append({"loc": ["kwargs", name], "message": f"unknown argument; the task has: {names}"})
        errors.extend(
            {"loc": ["kwargs", name], "message": "missing argument"} for name in plan.required if name not in bound
        )
        if errors:
            raise ArgumentsRefused("The arguments do not fit the task.", errors=errors)
        return bound

    @cached_property
    def hidden(self) -> frozenset[str]:
        """The parameters that no caller gives."""
        return frozenset(p.name for p in self.parameters if p.hidden)

    def shown(self, bound: Mapping[str, Any], *, stored: bool) -> Mapping[str, Any]:
        """Of a call that `bind` gave, what `schema()` describes.

        :param stored: it is one that passed before: what is hidden may be there.
        :raises ArgumentsRefused: somebody gave what is hidden.
        """
        if not self.hidden:
            return bound
        if not stored and (given := [name for name in bound if name in self.hidden]):
            why = "given by the run that a job is part of, not by callers"
            errors = [{"loc": ["kwargs", name], "message": why} for name in given]
            raise ArgumentsRefused("The arguments do not fit the task.", errors=errors)
        return {name: value for name, value in bound.items() if name not in self.hidden}

    def complete(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """As `bind`, with the defaults of what was left out, as far as JSON can say them.

        :raises ArgumentsRefused: as `bind`.
        """
        bound = self.bind(args, kwargs)
        for parameter in self.parameters:
            if parameter.name not in bound and not parameter.required and parameter.default is not msgspec.UNSET:
                bound[parameter.name] = parameter.default
        return bound

    def choices(self, name: str) -> list[Any] | None:
        """The values that may be chosen from for a parameter, in the author's order; None where it is no such one."""
        schema = self._schema(name)
        values = schema.get("enum")
        return list(values) if isinstance(values, list) else None

    def takes(self, name: str, value: Any) -> bool:
        """Whether `value` may be given for a parameter, as far as its kind and its choices go."""
        return self._fits(self._schema(name), value)

    def _schema(self, name: str) -> dict[str, Any]:
        schema = next((p.schema for p in self.parameters if p.name == name), {})
        return self._resolved(schema)

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self.defs.get(str(schema["$ref"]).removeprefix("#/$defs/"), {})
        return schema

    def _fits(self, schema: dict[str, Any], value: Any) -> bool:
        schema = self._resolved(schema)
        if "enum" in schema:
            return any(value == choice and type(value) is type(choice) for choice in schema["enum"])
        if "anyOf" in schema:
            return any(self._fits(arm, value) for arm in schema["anyOf"])
        kinds = _KINDS.get(str(schema.get("type")))
        return kinds is None or type(value) in kinds

    @cached_property
    def _plan(self) -> _Plan:
        return _Plan(
            places=[p.name for p in self.parameters if p.kind in ("positional", "either")],
            names=frozenset(p.name for p in self.parameters if p.kind != "kwargs"),
            required=[p.name for p in self.parameters if p.required and p.kind not in ("args", "kwargs")],
            rest=next((p.name for p in self.parameters if p.kind == "args"), None),
            more=any(p.kind == "kwargs" for p in self.parameters),
        )


_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}

ANYTHING = Signature(parameters=(Parameter("args", kind="args"), Parameter("kwargs", kind="kwargs")))
