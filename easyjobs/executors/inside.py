"""Calling a task's function inside a child process: the boundary where user code's errors end there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from easyjobs.errors import ArgumentsRefused
from easyjobs.executors.pipe import Order
from easyjobs.executors.ran import Ran, failed
from easyjobs.tasks.encoding import encode_result

_decode = msgspec.json.Decoder().decode


def attempt(order: Order, find: Callable[[], Callable[..., Any]]) -> Ran:
    """Run the attempt; nothing that user code does makes it raise.

    :param find: gives the function, and may run user code for that: a module that is loaded.
    """
    try:
        function = find()
        value = _called(function, *_arguments(order, function))
        if inspect.iscoroutine(value):
            import asyncio  # here, as all that only some children need: each import makes every child slower

            return asyncio.run(_awaited(order, value))
        return _completed(order, value)
    except BaseException as error:  # noqa: BLE001 - the boundary: whatever user code raises is an outcome
        return _failed(order, error)


async def _awaited(order: Order, coroutine: Coroutine[Any, Any, Any]) -> Ran:
    try:
        return _completed(order, await coroutine)
    except BaseException as error:  # noqa: BLE001 - as above; caught here so that asyncio is no part of the traceback
        return _failed(order, error)


def _completed(order: Order, value: Any) -> Ran:
    return Ran("completed", msgspec.Raw(encode_result(value, order.result_limit, order.depth_limit)))


def _failed(order: Order, error: BaseException) -> Ran:
    if isinstance(error, TypeError) and _does_not_bind(error):
        error = ArgumentsRefused(f"The arguments do not fit the task: {error}")
    return failed(error, order.no_retry_on, order.traceback_limit)


def _arguments(order: Order, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = _decode(order.args), _decode(order.kwargs)
    if order.anything and isinstance(kwargs.get("args"), list):
        args += kwargs.pop("args")
    code = getattr(function, "__code__", None)
    by_place_only = code is None or code.co_posonlyargcount or code.co_flags & inspect.CO_VARARGS
    if not by_place_only and not getattr(function, "__annotations__", None):
        return args, kwargs
    from easyjobs.tasks.conversion import converter_of

    return converter_of(function).arguments(args, kwargs, as_written=order.as_written)


def _called(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)


def _does_not_bind(error: TypeError) -> bool:
    """Whether the call was refused by Python itself: no frame of the function was entered."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is _called.__code__
