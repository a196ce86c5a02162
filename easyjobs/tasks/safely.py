"""Asking users' objects for text: their `__str__` may raise, or say what no file can hold."""

from __future__ import annotations

from collections.abc import Callable


def text_of(make: Callable[[], str], what: str) -> str:
    """What `make` returns, without lone surrogates; where it raises, `<what>` and the name of what it raised."""
    try:
        text = make()
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    except BaseException as error:  # noqa: BLE001 - a user's object speaks here: even SystemExit may come out
        return f"<{what}: {type(error).__name__}>"


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8, its head and its tail kept, with a mark of how much is gone."""
    if len(text) * 4 <= limit:
        return text
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= limit:
        return text
    mark = f"\n… {len(raw) - limit} bytes left out …\n".encode()
    room = limit - len(mark)
    if room <= 0:
        return raw[:limit].decode("utf-8", "ignore")
    head, tail = raw[: room - room // 2], raw[len(raw) - room // 2 :]
    return head.decode("utf-8", "ignore") + mark.decode() + tail.decode("utf-8", "ignore")
