"""The result that a script prints: JSON between two lines of its output."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from easyjobs.errors import ResultRefused, ScriptFailed
from easyjobs.tasks.encoding import encode_result
from easyjobs.tasks.safely import cut

START: Final = b"== RESULT START =="
END: Final = b"== RESULT END =="
SHOWN: Final = 500
"""Characters of a result that a failure shows."""


class Printed:
    """Finds the result in the lines of an output, however many these are. Give it each with `line`, then ask `result`.

    :param most: bytes between the markers; more is too large.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._lines: list[bytes] = []
        self._open = False
        self._pairs = 0
        self._wrong = ""
        self._inside = False  # a marker stood in a line with something else

    def line(self, line: bytes) -> None:
        """The next line, without its end."""
        mark = line.strip()
        if mark == START:
            if self._open:
                self._wrong = self._wrong or "a second RESULT START came before the RESULT END of the first"
            self._open = True
            self._pairs += 1
        elif mark == END:
            if not self._open:
                self._wrong = self._wrong or "a RESULT END came without a RESULT START before it"
            self._open = False
        elif self._open:
            self._size += len(line) + 1
            if self._size <= self._most and self._pairs == 1:
                self._lines.append(line)
        elif START in line:
            self._inside = True

    def result(self, limit: int, depth: int) -> bytes:
        """The result as JSON, of at most `limit` bytes and `depth` levels. When the output has ended.

        :raises ScriptFailed: there is none, or more than one, it is no JSON object, or its status is not "success".
            ResultRefused: it is too large or too deep.
        """
        if self._pairs > 1 and not self._wrong:
            raise ScriptFailed(f"the script printed {self._pairs} results; it must print one")
        if self._wrong:
            raise ScriptFailed(f"the script's result has no clear bounds: {self._wrong}")
        if not self._pairs:
            raise ScriptFailed(f"the script ended with status 0, but printed no result{self._hint()}")
        if self._open:
            raise ScriptFailed("the script ended with status 0, but its result has no end: there is no RESULT END")
        if self._size > self._most:
            raise ResultRefused(f"the script's result is {self._size} bytes; {limit} are allowed")
        return encode_result(self._successful(b"\n".join(self._lines)), limit, depth)

    def _successful(self, text: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            shown = cut(text.decode("utf-8", "replace").strip(), SHOWN) or "nothing"
            raise ScriptFailed(f"the script's result is no JSON ({error}): {shown}") from None
        if not isinstance(value, dict):
            raise ScriptFailed(f'the script\'s result must be an object with "status": "success", not {_shown(value)}')
        if "status" not in value:
            raise ScriptFailed(f'the script\'s result has no "status", which must be "success": {_shown(value)}')
        if value["status"] != "success":
            status = _shown(value["status"])
            raise ScriptFailed(f'the script\'s result has the status {status}, not "success": {_shown(value)}')
        return value

    def _hint(self) -> str:
        if self._inside:
            return ": a marker stood in a line with something else (in R, write cat(…), not print(…))"
        return (
            f': JSON with a status, between the lines {START.decode()} and {END.decode()} (with result="exit" none '
            "is needed)"
        )


def _shown(value: Any) -> str:
    return cut(msgspec.json.encode(value).decode(), SHOWN)
