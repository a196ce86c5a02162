"""Judging arguments at the door: names by the task's signature, types by JSON Schema. The one door to jsonschema-rs."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import msgspec

from easyjobs.core.signature import Signature
from easyjobs.errors import ArgumentsRefused, BadRequest, RegistrationError, TooLarge
from easyjobs.hub.formats import FORMATS

_decode = msgspec.json.Decoder().decode
_HALF_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
MOST_ERRORS = 20
LONGEST_REASON = 300


class Checker:
    """Judges calls of one signature. Made once for each signature; making it costs about a tenth of a millisecond.

    :raises RegistrationError: a parameter's schema is no JSON Schema.
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        try:
            # offline: a schema must not make the manager fetch what it refers to
            self._validator = jsonschema_rs.validator_for(
                signature.schema(), offline=True, validate_formats=True, formats=FORMATS
            )
        except ValueError as error:
            raise RegistrationError(f"the parameters have no valid JSON Schema: {error}") from None

    def check(self, args: bytes, kwargs: bytes, *, size: int, depth: int, stored: bool = False) -> None:
        """Pass a call, given as two JSON texts (an array and an object).

        :param stored: it is that of a job, and may have what no caller gives.
        :raises ArgumentsRefused: with the place and the reason of each fault. BadRequest: no JSON, or nested deeper
            than `depth`. TooLarge: more than `size` bytes in all.
        """
        if len(args) + len(kwargs) > size:
            raise TooLarge(f"The arguments are {len(args) + len(kwargs)} bytes; {size} are allowed.")
        by_name = parse(kwargs, depth, "kwargs")
        by_place = parse(args, depth, "args") if args != b"[]" else []
        if type(by_name) is not dict:
            raise ArgumentsRefused(
                "The arguments do not fit the task.", errors=[{"loc": ["kwargs"], "message": "must be an object"}]
            )
        if type(by_place) is not list:
            raise ArgumentsRefused(
                "The arguments do not fit the task.", errors=[{"loc": ["args"], "message": "must be an array"}]
            )
        if not by_place and self._validator.is_valid(by_name):
            return  # what the schema passes as one object binds by name as well
        self.check_values(by_place, by_name, stored=stored)

    def bind(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Pass a call, given as values, whatever their types. Raises ArgumentsRefused as `check` does."""
        self._signature.bind(args, kwargs)

    def check_values(self, args: list[Any], kwargs: dict[str, Any], *, stored: bool = False) -> None:
        """Pass a call, given as values. Raises ArgumentsRefused as `check` does."""
        bound = self._signature.shown(self._signature.bind(args, kwargs), stored=stored)
        if self._validator.is_valid(bound):
            return
        errors = []
        for error in self._validator.iter_errors(bound):
            place, message = _fault(error)
            if len(message) > LONGEST_REASON:
                message = message[:LONGEST_REASON] + "…"
            errors.append({"loc": ["kwargs", *place], "message": message})
            if len(errors) >= MOST_ERRORS:
                break
        raise ArgumentsRefused("The arguments do not fit the task.", errors=errors)


def _fault(error: jsonschema_rs.ValidationError) -> tuple[list[str | int], str]:
    """The place and the reason of a fault. Of a value that may be one of several: what keeps it from the one that it is
    like, else all that it may be.
    """
    kinds, path = jsonschema_rs.ValidationErrorKind, error.instance_path
    if not isinstance(error.kind, (kinds.AnyOf, kinds.OneOfNotValid)):
        return path, error.message
    types: list[str] = []
    value = ""
    like = []
    for way in (way[0] for way in error.kind.context if way):
        if isinstance(way.kind, kinds.Type) and way.instance_path == path:
            types += [f'"{name}"' for name in way.kind.types]
            value = way.message.rpartition(" is not of type")[0]
        else:
            like.append(way)
    if len(like) == 1:
        return _fault(like[0])
    reasons = [_fault(way)[1] for way in like]
    if types:
        reasons.append(f"{value} is not of type {' or '.join(types)}")
    return path, "; ".join(reasons) or error.message


def parse(text: bytes, depth: int, where: str) -> Any:
    """The value of a JSON text that is nested at most `depth` deep.

    :raises BadRequest: it is not JSON (NaN and lone surrogates are not), or deeper; names `where`.
    """
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadRequest(f"{where} is not JSON: {fault_of(text, error)}") from None
    except RecursionError:
        raise BadRequest(f"{where} is nested too deep; {depth} levels are allowed.") from None
    # counting brackets is an upper bound that costs nothing; only what passes it is walked
    if text.count(b"[") + text.count(b"{") > depth and _deeper_than(value, depth):
        raise BadRequest(f"{where} is nested too deep; {depth} levels are allowed.")
    return value


def fault_of(text: bytes, error: Exception) -> str:
    """Why `text` is no JSON. The decoder calls a string that ends in half a surrogate pair truncated."""
    return "a string holds half a surrogate pair" if _HALF_PAIR.search(text) else str(error)


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        below: list[Any] = []
        for item in level:
            if type(item) is list:
                below.extend(item)
            elif type(item) is dict:
                below.extend(item.values())
        level = [item for item in below if type(item) in (list, dict)]
        if not level:
            return False
    return True
