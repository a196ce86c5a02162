"""A child process as the system sees it: started in a session of its own, listened to, signalled, cleared away."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from easyjobs.executors.output import LONGEST, Output
from easyjobs.executors.pipe import VARIABLE

CLEARING: Final = 2.0
"""Seconds after its end that what holds its pipes open is waited for."""


class Files(NamedTuple):
    """What a child has besides its environment: a folder to run in (None: ours), open files for its input and output
    (None: nothing, and lines for the log), who sees each line of its output as it is, of up to `longest` bytes.
    """

    cwd: str | None = None
    stdin: int | None = None
    stdout: int | None = None
    seen: Callable[[bytes], None] | None = None
    longest: int = LONGEST


_ALONE: Final = Files()


class Child:
    """One process with all that it starts and that stays in its group. Made by `start`; `close` it when it has ended.

    `pipe` is our end of the pipe between the two, where it is one of ours that can talk; `pid` also names its session
    and its group.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], pipe: socket.socket | None, lifeline: int, outputs: list[Output]
    ) -> None:
        self.pid = process.pid
        self.pipe = pipe
        self._process = process
        self._lifeline = lifeline
        self._outputs = outputs

    @classmethod
    def start(cls, command: Sequence[str], env: Mapping[str, str], say: Callable[[str, str], None]) -> Child:
        """Start `command`, which runs our code; `say` gets each line of its output with its level: "info", and
        "warning" of its stderr.

        :raises OSError: it cannot be started.
        """
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            mine, its = socket.socketpair()
            theirs.callback(its.close)
            ours.callback(mine.close)
            mine.setblocking(False)
            child = cls._start(command, {**env, VARIABLE: str(its.fileno())}, say, _ALONE, (its.fileno(),))
            child.pipe = mine
            ours.pop_all()
        return child

    @classmethod
    def start_stranger(
        cls, command: Sequence[str], env: Mapping[str, str], say: Callable[[str, str], None], files: Files
    ) -> Child:
        """Start `command`, which knows nothing of us: as `start`, without a pipe, with a folder and files of its own.

        :raises OSError: it cannot be started.
        """
        return cls._start(command, env, say, files, ())

    @classmethod
    def _start(
        cls,
        command: Sequence[str],
        env: Mapping[str, str],
        say: Callable[[str, str], None],
        files: Files,
        passed: tuple[int, ...],
    ) -> Child:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            life, lifeline = _pipe(theirs, ours)
            out, its_out = _pipe(ours, theirs)
            err, its_err = _pipe(ours, theirs)
            # not the loop's own way: uvloop's leaves copies of the outputs open in the child, and forks more slowly
            process = subprocess.Popen(  # noqa: S603 - a list of arguments, for no shell
                command,
                stdin=subprocess.DEVNULL if files.stdin is None else files.stdin,
                stdout=its_out if files.stdout is None else files.stdout,
                stderr=its_err,
                cwd=files.cwd,
                env=env,
                pass_fds=(*passed, life),
                start_new_session=True,
            )
            _die_with_us(life, process.pid)
            ours.pop_all()
        outputs = [
            Output(out, lambda line: say("info", line), seen=files.seen, longest=files.longest),
            Output(err, lambda line: say("warning", line)),
        ]
        return cls(process, None, lifeline, outputs)

    def drain(self) -> None:
        """Take all output that it has written until now."""
        for output in self._outputs:
            output.drain()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def wait(self) -> int:
        """Its exit status when it has ended; negative: the signal that ended it. Once."""
        await _ended(self._process)
        return self._process.wait()

    async def close(self, conversation: asyncio.Task[None] | None = None) -> None:
        """It has ended: end what it left in its group, take its last output and words, and close the pipes; after two
        seconds also where a process that left the group holds them open. `conversation` is who reads `pipe`.
        """
        self.signal(signal.SIGKILL)
        try:
            async with asyncio.timeout(CLEARING):
                for output in self._outputs:
                    await output.ended.wait()
                if conversation is not None:
                    await asyncio.wait((conversation,))
                if self._process.poll() is None:  # nobody waited for it: the attempt was given up
                    await _ended(self._process)
        except TimeoutError:
            pass
        finally:
            if conversation is not None:
                conversation.cancel()
            for output in self._outputs:
                output.close()
            os.close(self._lifeline)
            self._process.poll()


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """The ends of a pipe, each of which is closed with the files of who has it."""
    reading, writing = os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has ended: the kernel tells the loop where it can, else a thread does."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    try:
        watch = os.pidfd_open(process.pid)
    except (AttributeError, OSError):

        def wait() -> None:
            process.wait()
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(end)

        threading.Thread(target=wait, name="easyjobs-child", daemon=True).start()
        await over
        return
    loop.add_reader(watch, end)
    try:
        await over
    finally:
        loop.remove_reader(watch)
        os.close(watch)


def _die_with_us(lifeline: int, group: int) -> None:
    """Have the kernel kill a group when our end of the lifeline is gone, however we end.

    Elsewhere than on Linux the child notices the end of its pipe by itself, if it runs our code and lets other threads
    run.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -group)
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
