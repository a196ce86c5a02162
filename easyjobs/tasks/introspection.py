"""What a function takes and gives, for the manager: its signature as JSON Schema."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any

import msgspec

from easyjobs.core.signature import ALL, ANYTHING, Parameter, Signature
from easyjobs.errors import RegistrationError, ResultRefused
from easyjobs.tasks.encoding import encode_result
from easyjobs.tasks.hints import ABSENT, KINDS, REF, Declared, Shape, parameters, read

log = logging.getLogger("easyjobs")

_LONGEST = 1000
_FIELD = re.compile(
    r"^[ \t]*:param(?:[ \t]+[^:\n]*?)?[ \t]+\*{0,2}(\w+)[ \t]*:(.*(?:\n(?![ \t]*(?::|$)).*)*)", re.MULTILINE
)


def signature_of(function: Callable[..., Any], write_all: Collection[str] = ()) -> Signature:
    """The parameters of `function` with the JSON Schema of each, from its annotations, and what its docstring says of
    them (`:param x: …`). Those of `write_all` take "ALL" besides their own values.

    Types that JSON or msgspec know, Enum, dataclass, TypedDict, NamedTuple, Struct, attrs and pydantic models have
    their schema; a list as an annotation, `b: [1, 2, 3]`, means one of these values; no annotation, `Any` and any
    other class take anything. A default of None makes None a value. As everywhere in JSON Schema, `int` takes 1 and
    1.0 (which arrives as it was sent), but not 1.5, "1" or true; `float` takes integers.

    :raises RegistrationError: a parameter of `write_all` does not list its values.
    """
    found = read(function)
    if found is None:
        return ANYTHING
    declared, returned = found
    schemas, defs = _schemas([*(p.shape for p in declared), returned])
    *of_parameters, of_result = schemas
    for i, parameter in enumerate(declared):
        if parameter.name in write_all:
            of_parameters[i] = {"enum": [*_choices(parameter.name, of_parameters[i], defs), ALL]}
    told = descriptions(inspect.getdoc(function) or "")
    described = [_parameter(p, schema, told.get(p.name, "")) for p, schema in zip(declared, of_parameters, strict=True)]
    return Signature(tuple(described), _reachable(of_parameters, defs), _alone(of_result, defs))


def _choices(name: str, schema: dict[str, Any], defs: dict[str, Any]) -> list[Any]:
    found = Signature((Parameter(name, schema),), defs).choices(name)
    if not found or ALL in found:
        raise RegistrationError(
            f"write_all names {name!r}, which must be annotated with a list of its values, a Literal or an Enum"
            + (f", without {ALL!r} among them" if found else "")
        )
    return found


def descriptions(doc: str) -> dict[str, str]:
    """What a docstring says of parameters, by name: its `:param x: …` or `:param int x: …` fields, on one line each."""
    return {match[1]: " ".join(match[2].split()) for match in _FIELD.finditer(doc)}


def names_of(function: Callable[..., Any]) -> Signature:
    """The parameters of `function` without their types: no annotation is read."""
    found = parameters(function)
    if found is None:
        return ANYTHING
    return Signature(tuple(Parameter(p.name, kind=KINDS[p.kind], required=p.default is ABSENT) for p in found))


def _parameter(declared: Declared, schema: dict[str, Any], description: str) -> Parameter:
    required = declared.default is ABSENT
    default: Any = msgspec.UNSET
    if not required:
        try:
            default = msgspec.json.decode(encode_result(declared.default))
        except ResultRefused:
            default = msgspec.UNSET
    return Parameter(declared.name, schema, declared.kind, required, default, description[:_LONGEST])


class _Models:
    """The definitions of pydantic models, each under a name that is not `taken`; what a model refers to is under
    `Model.Inner`.
    """

    def __init__(self, taken: set[str]) -> None:
        self._names: dict[type, str] = {}
        self._taken = set(taken)
        self.defs: dict[str, Any] = {}

    def __call__(self, kind: Any) -> dict[str, Any]:
        if kind not in self._names:
            plain = re.sub(r"[^A-Za-z0-9_.-]", "_", kind.__name__)
            name, n = plain, 1
            while name in self._taken:
                n += 1
                name = f"{plain}_{n}"
            self._taken.add(name)
            self._names[kind] = name
            self._describe(kind, name)
        return {"$ref": REF.format(name=self._names[kind])}

    def _describe(self, kind: Any, name: str) -> None:
        try:
            schema = kind.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        except (RuntimeError, TypeError, ValueError, LookupError, NameError) as error:
            log.warning("the model %s has no JSON Schema (%s); any value is taken for it", name, error)
            schema = {}
        for inner, definition in schema.pop("$defs", {}).items():
            self.defs[f"{name}.{inner}"] = definition
        self.defs[name] = schema


def _schemas(shapes: list[Shape]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The schema of each shape, and the definitions they share."""
    hints = [hint for shape in shapes for hint in shape.hints]
    taken: set[str] = set()
    while True:
        models = _Models(taken)
        described, defs = msgspec.json.schema_components(hints, schema_hook=models, ref_template=REF)
        if not models.defs.keys() & defs.keys():
            break
        taken |= defs.keys()  # msgspec names its own types first
    for hint, schema in zip(hints, described, strict=True):
        if isinstance(hint, type) and issubclass(hint, Enum) and "$ref" in schema:
            # msgspec sorts the values; which is the first of them is for their author to say
            defs[str(schema["$ref"]).removeprefix(REF.format(name=""))]["enum"] = [member.value for member in hint]
    rest = list(described)
    schemas: list[dict[str, Any]] = []
    for shape in shapes:
        arms = [rest.pop(0) for _ in shape.hints]
        if shape.values is not None:
            schemas.append({"enum": shape.values})
        else:
            schemas.append(arms[0] if len(arms) == 1 else {"anyOf": arms} if all(arms) else {})
    return schemas, {**defs, **models.defs}


def _reachable(schemas: list[dict[str, Any]], defs: dict[str, Any]) -> dict[str, Any]:
    """Those of the definitions that the schemas refer to, directly or not."""
    found: dict[str, Any] = {}
    waiting: list[Any] = list(schemas)
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix("#/$defs/")
            if name in defs and name not in found:
                found[name] = defs[name]
                waiting.append(defs[name])
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return {name: found[name] for name in sorted(found)}


def _alone(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A schema together with the definitions it needs."""
    needed = _reachable([schema], defs)
    return {**schema, "$defs": needed} if needed else schema
