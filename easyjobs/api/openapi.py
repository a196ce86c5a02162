"""The OpenAPI page: our routes from the table of endpoints, and one typed path for each task that is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from easyjobs.api.endpoints import Endpoint
from easyjobs.api.events import MEDIA_TYPE as EVENTS
from easyjobs.api.problems import MEDIA_TYPE, Problem
from easyjobs.core.task import TaskSpec
from easyjobs.hub.queries import TaskView

Json = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/"
DEFS: Final = "#/$defs/"
ANY_TASK: Final = "/api/queues/{queue}/tasks/{task}"
_SCHEMES: Final[Json] = {
    "EasyJobsSecret": {"type": "http", "scheme": "bearer", "description": "The server secret."},
    "EasyJobsSession": {"type": "apiKey", "in": "cookie", "name": "easyjobs_session", "description": "From /login."},
}
LONGEST_SUMMARY: Final = 120
_SECURITY: Final[list[dict[str, list[str]]]] = [{name: []} for name in _SCHEMES]
_PATH: Final[Json] = {"id": {"type": "string", "format": "uuid"}}
_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again gives the first job; with other arguments it is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_LAST_EVENT: Final[Json] = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The `id` of the last event that a stream gave: it goes on after that.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}


def document(
    endpoints: Sequence[Endpoint], tasks: Iterable[TaskView], *, public: frozenset[str], prefix: str, base: Json
) -> Json:
    """`base` (an OpenAPI document, which is not changed) with our routes and tasks added.

    :param public: paths that need no credential. :param prefix: put before all paths of ours.
    """
    pages = _Pages(base.get("components", {}).get("schemas", {}))
    by_path: dict[str, Json] = {}
    for endpoint in endpoints:
        operation = pages.operation(endpoint)
        if endpoint.path not in public:
            operation["security"] = _SECURITY
        by_path.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    paths = dict(base.get("paths", {}))
    for view in tasks:  # before our own: they are what people come for
        path = ANY_TASK.format(queue=view.spec.queue, task=view.spec.name)
        paths[prefix + path] = {"post": pages.task(view, by_path[ANY_TASK]["post"])}
    paths.update({prefix + path: operations for path, operations in by_path.items()})
    schemes = {**base.get("components", {}).get("securitySchemes", {}), **_SCHEMES}
    components = {**base.get("components", {}), "schemas": pages.schemas, "securitySchemes": schemes}
    return {**base, "paths": paths, "components": components}


class _Pages:
    """Collects schemas under names that nobody else has."""

    def __init__(self, taken: Mapping[str, Any]) -> None:
        self.schemas: Json = dict(taken)
        self._ours: dict[str, str] = {}

    def operation(self, endpoint: Endpoint) -> Json:
        """One method of one path."""
        operation: Json = {
            "tags": [endpoint.tag],
            "summary": endpoint.summary,
            "description": endpoint.description,
            "operationId": f"easyjobs.{endpoint.handler.__name__}",
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": _PATH.get(name, {"type": "string"})}
                for name in re.findall(r"\{(\w+)\}", endpoint.path)
            ],
            "responses": {
                str(status): self._response(status, shape, endpoint.media) for status, shape in endpoint.answers.items()
            },
        }
        if endpoint.query is not None:
            operation["parameters"] += self._parameters(endpoint.query)
        if endpoint.stream:
            operation["responses"]["200"]["content"][EVENTS] = {"schema": {"type": "string"}}
            operation["parameters"].append(_LAST_EVENT)
        if endpoint.key:
            operation["parameters"].append(_KEY)
        if endpoint.body is not None:
            operation["requestBody"] = {"content": {"application/json": {"schema": self._schema(endpoint.body)}}}
        for status in (401, 403, *endpoint.problems):
            operation["responses"][str(status)] = self._response(status, Problem, MEDIA_TYPE)
        return operation

    def task(self, view: TaskView, generic: Json) -> Json:
        """The endpoint of one task: the general one, with this task's arguments and result."""
        spec = view.spec
        prefix = f"{spec.queue}.{spec.name}"
        schema = dict(spec.signature.schema())
        names = {name: self._free(f"{prefix}.{name}") for name in schema.pop("$defs", {})}
        self.schemas.update({names[name]: _moved(part, names) for name, part in spec.signature.defs.items()})
        responses = dict(generic["responses"])
        if spec.signature.returns:
            job = {"$ref": SCHEMAS + self._ours["JobOut"]}
            result = {"anyOf": [_moved(spec.signature.returns, names), {"type": "null"}]}
            answer = {"allOf": [job, {"properties": {"result": result}}]}
            for status in ("200", "202"):
                responses[status] = {**responses[status], "content": {"application/json": {"schema": answer}}}
        return {
            **generic,
            "tags": [spec.queue],
            "summary": _summary(spec) if view.available else f"{_summary(spec)} (no worker offers it now)",
            "description": spec.doc,
            "operationId": f"easyjobs.{spec.queue}:{spec.name}",
            "parameters": [parameter for parameter in generic["parameters"] if parameter["in"] != "path"],
            "requestBody": {
                "required": "required" in schema,
                "content": {"application/json": {"schema": _moved(schema, names)}},
            },
            "responses": responses,
            "x-easyjobs-available": view.available,
        }

    def _response(self, status: int, shape: Any, media: str) -> Json:
        response: Json = {"description": HTTPStatus(status).phrase}
        if shape is not None:
            response["content"] = {media: {"schema": self._schema(shape)}}
        return response

    def _parameters(self, shape: type[msgspec.Struct]) -> list[Json]:
        _, parts = msgspec.json.schema_components([shape])
        found = []
        for name, schema in parts[shape.__name__]["properties"].items():
            described = {"description": schema.pop("description")} if "description" in schema else {}
            kinds = [kind for kind in schema.pop("anyOf", [schema]) if kind != {"type": "null"}]
            plain = {key: value for key, value in kinds[0].items() if value is not None}
            described = {"description": plain.pop("description")} if "description" in plain else described
            found.append({"name": name, "in": "query", "required": False, "schema": plain, **described})
        return found

    def _schema(self, shape: Any) -> Json:
        """The schema of a type of ours (of several: of any of them), its parts put among the components."""
        if isinstance(shape, tuple):
            return {"anyOf": [self._schema(one) for one in shape]}
        (schema,), parts = msgspec.json.schema_components([shape])
        for name in parts:
            if name not in self._ours:
                self._ours[name] = self._free(f"EasyJobs{name}")
        self.schemas.update({self._ours[name]: _moved(part, self._ours) for name, part in parts.items()})
        moved: Json = _moved(schema, self._ours)
        return moved

    def _free(self, name: str) -> str:
        """`name`, or the next like it that nobody has."""
        free, n = name, 1
        while free in self.schemas:
            n += 1
            free = f"{name}.{n}"
        self.schemas[free] = {}
        return free


def _moved(part: Any, names: Mapping[str, str]) -> Any:
    """A copy of `part` whose references into its own definitions point at the components that `names` says."""
    if isinstance(part, dict):
        return {key: _reference(value, names) if key == "$ref" else _moved(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [_moved(one, names) for one in part]
    return part


def _reference(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str) and value.startswith(DEFS) and value.removeprefix(DEFS) in names:
        return SCHEMAS + names[value.removeprefix(DEFS)]
    return _moved(value, names)


def _summary(spec: TaskSpec) -> str:
    """The task's name and the first line of its docstring."""
    first = spec.doc.strip().partition("\n")[0].strip()
    return f"{spec.name}: {first[:LONGEST_SUMMARY]}" if first else spec.name
