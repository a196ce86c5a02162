"""A child process from the inside: take the order, call the function, report to the manager, leave."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from io import TextIOWrapper
from types import FrameType, ModuleType
from typing import Any, Final

from easyjobs.clock import SystemClock
from easyjobs.errors import ConfigurationError
from easyjobs.executors.inside import attempt
from easyjobs.executors.pipe import VARIABLE, Begun, Handed, Order, Recorded
from easyjobs.executors.ran import Ran
from easyjobs.protocol.messages import Outcome
from easyjobs.tasks.children import look_up, plain
from easyjobs.tasks.context import CaptureHandler, enter
from easyjobs.wire.address import address_of
from easyjobs.workers.channel import Channel
from easyjobs.workers.inside import ChildContext, enter_child

TERMINATED: Final = 128 + signal.SIGTERM
MAIN: Final = "__easyjobs_main__"
"""What the program's own file is called where it is loaded for one of its functions, so that it does not start."""


def take_pipe() -> int | None:
    """The file that the worker left open for this process; None where no worker started it. Once.

    What this process starts in turn gets neither the file nor its number.
    """
    number = os.environ.pop(VARIABLE, "")
    if not number.isdigit():
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def main() -> None:
    """The whole life of a child process that runs a function: never returns."""
    fd = take_pipe()
    if fd is None:
        sys.exit("this is for child processes of an easyjobs worker")
    channel = Channel(fd)
    serve(channel, lambda: _function(channel.order))
    logging.shutdown()
    _flush()
    os._exit(0)  # threads that the task left behind must not keep the slot


def serve(channel: Channel, find: Callable[[], Callable[..., Any]]) -> Ran:
    """Run the attempt that the worker ordered, and see its outcome recorded, or handed to the worker; the outcome.

    A fork that user code made of this process ends here.
    """
    order = channel.order
    context = ChildContext(order, channel)
    enter_child(channel)
    enter(context)
    _speak_at_once()
    _on_sigterm(_terminated)
    ran = attempt(order, lambda: _listened_to(channel, find))
    _flush()
    if channel.of_a_fork:
        os._exit(0)
    if channel.may_report():
        _on_sigterm(signal.SIG_IGN)
        _tell(channel, order, ran)
    return ran


def _listened_to(channel: Channel, find: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """The function, its logging captured from now on; not earlier, so that a module may set up its logging first."""
    function = find()
    CaptureHandler.beside_output = True
    CaptureHandler.install()
    channel.say(Begun())
    return function


def _speak_at_once() -> None:
    """What is printed shows in the job's log when it is printed; what is no text does not end the task."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _on_sigterm(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _tell(channel: Channel, order: Order, ran: Ran) -> None:
    if order.address:
        # loaded late: a task that runs for long should not wait for it first
        from easyjobs.workers.reporting import report

        outcome = Outcome(order.job, order.attempt, order.token, result=ran.result)
        if ran.end == "failed":
            outcome = Outcome(
                order.job, order.attempt, order.token, "failed", error=ran.error, final=ran.final, delay=ran.delay
            )
        if report(address_of(order.address), outcome, SystemClock()):
            channel.say(Recorded())
            return
    channel.say(Handed(ran))


def _function(order: Order) -> Callable[..., Any]:
    """The function that the order names.

    :raises ConfigurationError: the name leads to none here.
    """
    sys.path[:] = order.path
    name, _, qualname = order.function.partition(":")
    module = importlib.import_module(name) if not order.main else _load_main(order.main)
    function = plain(look_up(module, qualname))
    if not callable(function):
        raise ConfigurationError(f"{name} has no function {qualname} in a fresh process")
    return function  # type: ignore[no-any-return]


def _load_main(file: str) -> ModuleType:
    """The program's own file as a module, which does not pass its `if __name__ == '__main__':`."""
    spec = spec_from_file_location(MAIN, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{file} cannot be loaded as a module")
    module = module_from_spec(spec)
    sys.modules[MAIN] = sys.modules["__main__"] = module
    spec.loader.exec_module(module)
    return module


def _terminated(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends user code as `sys.exit` would: what it opened is closed, what it began is undone."""
    sys.exit(TERMINATED)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
