"""The child process's end of the pipe to its worker."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable

from easyjobs.executors.pipe import (
    CUT_OFF,
    HEAD,
    Done,
    Drop,
    FromChild,
    Heard,
    HungUp,
    Order,
    Parks,
    Reached,
    Report,
    Resumed,
    Resumes,
    Told,
    decode_from_worker,
    decode_order,
    word,
)


class Channel:
    """Made of the file that the worker left open, with the order read; from then on it listens in a thread.

    When the worker is gone, the whole group of this process is killed. Any thread may speak; a fork of this process may
    not, and is not heard.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._pid = os.getpid()
        self._speaking = threading.Lock()
        self._answered = threading.Event()
        self._may_report = False
        self._waits: dict[int, Callable[[], object]] = {}
        self._links: dict[int, Callable[[Heard | HungUp], object]] = {}
        self._number = 0
        self.order: Order = decode_order(self._word() or b"")
        threading.Thread(target=self._listen, name="easyjobs-pipe", daemon=True).start()

    @property
    def of_a_fork(self) -> bool:
        """Whether this process is a copy of the one that the worker started."""
        return os.getpid() != self._pid

    def say(self, message: FromChild) -> bool:
        """Tell the worker; whether that could be done. Without a worker the end is near anyway."""
        if not self.of_a_fork:
            with self._speaking, contextlib.suppress(OSError):
                self._socket.sendall(word(message))
                return True
        return False

    def may_report(self) -> bool:
        """The function has ended: whether its outcome is still wanted. Waits for the answer; once.

        A task that has closed our file under us ends its process: nobody hears us, and nobody would ever answer.
        """
        if not self.say(Done()):
            os._exit(CUT_OFF)
        self._answered.wait()
        return self._may_report

    # -- as a `Reporter`

    def log(self, job_id: str, level: str, text: str) -> None:
        """As `Reporter.log`."""
        self.say(Told(level, text.encode("utf-8", "backslashreplace").decode()))

    def progress(self, job_id: str, value: float | None, note: str) -> None:
        """As `Reporter.progress`."""
        self.say(Reached(value, note.encode("utf-8", "backslashreplace").decode()))

    # -- a slot that is given away and taken again

    def park(self) -> int:
        """The job awaits another. What comes back is for `resume`."""
        self._number += 1
        self.say(Parks(self._number))
        return self._number

    def resume(self, number: int, then: Callable[[], object]) -> None:
        """That wait is over; `then` is called, in the thread that listens, when there is a slot again."""
        self._waits[number] = then
        self.say(Resumes(number))

    # -- a link to the manager, through the worker

    def link(self, heard: Callable[[Heard | HungUp], object]) -> int:
        """The number of a new one. `heard` is called with each frame and, last, its end, in the thread that listens."""
        with self._speaking:
            self._number += 1
            number = self._number
        self._links[number] = heard
        return number

    # -- how it listens

    def _listen(self) -> None:
        while (text := self._word()) is not None:
            match decode_from_worker(text):
                case Report():
                    self._may_report = True
                    self._answered.set()
                case Drop():
                    self._answered.set()
                case Resumed(n):
                    if (then := self._waits.pop(n, None)) is not None:
                        then()
                case Heard(n) as message:
                    if (heard := self._links.get(n)) is not None:
                        heard(message)
                case HungUp(n) as message:
                    if (heard := self._links.pop(n, None)) is not None:
                        heard(message)
        os.killpg(0, signal.SIGKILL)

    def _word(self) -> bytes | None:
        """The next word; None when there are no more."""
        head = self._exactly(HEAD)
        return None if head is None else self._exactly(int.from_bytes(head, "big"))

    def _exactly(self, n: int) -> bytes | None:
        pieces = bytearray()
        while len(pieces) < n:
            try:
                piece = self._socket.recv(n - len(pieces))
            except OSError:
                return None
            if not piece:
                return None
            pieces += piece
        return bytes(pieces)
