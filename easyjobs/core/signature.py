"""The parameters of a task as data: what a call must give, and the JSON Schema of each.

`bind` judges the names; the types are judged by whoever holds a JSON Schema validator (hub/arguments.py), against
`Signature.schema()`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from easyjobs.errors import ArgumentsRefused

Kind = Literal["positional", "either", "keyword", "args", "kwargs"]


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One parameter. `schema` is its JSON Schema ({} allows anything); `default` is for people and the docs."""

    name: str
    schema: dict[str, Any] = {}
    kind: Kind = "either"
    required: bool = True
    default: Any = None


class Signature(msgspec.Struct, frozen=True, omit_defaults=True):
    """All parameters of a task, in order, with the `$defs` that their schemas refer to.

    `returns` is the JSON Schema of the result, for the docs; it takes no part in the hash.
    """

    parameters: tuple[Parameter, ...] = ()
    defs: dict[str, Any] = {}
    returns: dict[str, Any] = {}

    @property
    def hash(self) -> str:
        """16 hex digits that are equal when, and only when, the parameters and their types are."""
        facts = msgspec.json.encode(
            [[(p.name, p.kind, p.required, p.schema) for p in self.parameters], self.defs], order="sorted"
        )
        return hashlib.sha256(facts).hexdigest()[:16]

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments as one object, as the HTTP body has them.

        A `*args` parameter is an array under its own name; `**kwargs` opens the object to more properties.
        """
        properties: dict[str, Any] = {}
        required: list[str] = []
        more: Any = False
        for p in self.parameters:
            if p.kind == "kwargs":
                more = p.schema or True
            elif p.kind == "args":
                properties[p.name] = {"type": "array", "items": p.schema or True}
            else:
                properties[p.name] = p.schema if p.required else {**p.schema, "default": p.default}
                if p.required:
                    required.append(p.name)
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": more}
        if required:
            schema["required"] = required
        if self.defs:
            schema["$defs"] = self.defs
        return schema

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The call as one object that `schema()` describes.

        :param args: what was given by place, `kwargs`: what was given by name; neither is changed.
        :raises ArgumentsRefused: something is missing, surplus, or given twice; `errors` has each place
            (`["args", 2]`, `["kwargs", "name"]`) and reason. Types are not judged here.
        """
        bound: dict[str, Any] = {}
        errors: list[dict[str, Any]] = []
        places = [p for p in self.parameters if p.kind in ("positional", "either")]
        rest = next((p for p in self.parameters if p.kind == "args"), None)
        more = any(p.kind == "kwargs" for p in self.parameters)
        by_name = {p.name: p for p in self.parameters if p.kind in ("either", "keyword")}
        for p, value in zip(places, args, strict=False):
            bound[p.name] = value
        if len(args) > len(places):
            if rest is not None:
                bound[rest.name] = list(args[len(places) :])
            else:
                takes = f"takes {len(places)}" if places else "takes none"
                errors.extend(
                    {"loc": ["args", i], "message": f"surplus argument: the task {takes} by place"}
                    for i in range(len(places), len(args))
                )
        for name, value in kwargs.items():
            if name in by_name:
                if name in bound:
                    errors.append({"loc": ["kwargs", name], "message": "given twice, by place and by name"})
                else:
                    bound[name] = value
            elif more and name not in bound:
                bound[name] = value
            else:
                names = ", ".join(by_name) or "none"
                errors.append({"loc": ["kwargs", name], "message": f"unknown argument; the task has: {names}"})
        errors.extend(
            {"loc": ["kwargs", p.name], "message": "missing argument"}
            for p in self.parameters
            if p.required and p.kind not in ("args", "kwargs") and p.name not in bound
        )
        if errors:
            raise ArgumentsRefused("The arguments do not fit the task.", errors=errors)
        return bound


ANYTHING = Signature(parameters=(Parameter("args", kind="args"), Parameter("kwargs", kind="kwargs")))
