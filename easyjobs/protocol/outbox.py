"""What one side wants to say, gathered until a frame leaves: one frame for all of it, or several under the limit.

Within a frame the messages have a fixed order: tasks before the jobs that use them, log lines before the outcome that
closes them.
"""

from __future__ import annotations

import msgspec

from easyjobs.core.task import TaskSpec
from easyjobs.protocol.codec import encode
from easyjobs.protocol.messages import (
    Await,
    CancelJobs,
    Finished,
    Forget,
    FromPeer,
    Held,
    Log,
    Outcome,
    Progress,
    Register,
    Started,
    Submission,
    Submit,
)

ESCAPED = 6
"""The most bytes that one character of a string takes in a frame."""


def size_of_submission(job: Submission) -> int:
    """The most bytes that it takes in a frame."""
    text = len(job.queue) + len(job.task) + len(job.key or "") + len(job.id) + len(job.parent or "")
    return 320 + ESCAPED * text + memoryview(job.args).nbytes + memoryview(job.kwargs).nbytes


def size_of_outcome(outcome: Outcome) -> int:
    """The most bytes that it takes in a frame."""
    raw = memoryview(outcome.result).nbytes + memoryview(outcome.error).nbytes
    return 320 + ESCAPED * len(outcome.reason) + raw


def size_of_held(held: Held) -> int:
    """The most bytes that it takes in a frame."""
    return 32 + ESCAPED * (len(held.job) + len(held.token))


def size_of_log(log: Log) -> int:
    """The bytes that it takes in a frame."""
    return size_of_other(log)


def size_of_progress(progress: Progress) -> int:
    """The most bytes that it takes in a frame."""
    return 320 + ESCAPED * len(progress.note)


def size_of_task(spec: TaskSpec) -> int:
    """The bytes that it takes in a frame."""
    return len(msgspec.json.encode(spec)) + 1


def size_of_id(id: str) -> int:
    """The most bytes that it takes in a frame."""
    return 4 + ESCAPED * len(id)


def size_of_batch(batch: Submit) -> int:
    """The most bytes that it takes in a frame."""
    return 64 + sum(map(size_of_submission, batch.jobs))


def size_of_other(message: FromPeer) -> int:
    """The bytes that it takes in a frame."""
    return len(msgspec.json.encode(message)) + 1


class Outbox:
    """Lists to append to, and `frame` to empty them.

    Whoever appends adds the most bytes that it takes (the `size_of_…` above) to `size`. A single item that alone is
    over the limit leaves in a frame of its own: it is for whoever made it to see that there is none.
    """

    __slots__ = (
        "awaits",
        "batches",
        "cancels",
        "forgets",
        "logs",
        "others",
        "outcomes",
        "progress",
        "size",
        "started",
        "submissions",
        "tasks",
    )

    def __init__(self) -> None:
        self.size = 0
        self.tasks: list[TaskSpec] = []
        self.started: list[Held] = []
        self.progress: list[Progress] = []
        self.logs: list[Log] = []
        self.batches: list[Submit] = []  # all or none
        self.submissions: list[Submission] = []
        self.awaits: list[str] = []
        self.forgets: list[str] = []
        self.cancels: list[str] = []
        self.outcomes: list[Outcome] = []
        self.others: list[FromPeer] = []  # small ones, which stay in their order

    def frame(self, limit: int) -> bytes | None:
        """The next frame of at most `limit` bytes; None when nothing is left. Call it until it says None."""
        if self.size == 0:
            return None
        messages = self._take(limit) if self.size > limit else self._take_all()
        return encode(messages) if messages else None

    def _take_all(self) -> list[FromPeer]:
        messages: list[FromPeer] = []
        if self.tasks:
            messages.append(Register(self.tasks))
            self.tasks = []
        if self.started:
            messages.append(Started(self.started))
            self.started = []
        if self.progress:
            messages.extend(self.progress)
            self.progress = []
        if self.logs:
            messages.extend(self.logs)
            self.logs = []
        if self.forgets:
            # ahead of what may ask anew for the same job
            messages.append(Forget(self.forgets))
            self.forgets = []
        if self.batches:
            messages.extend(self.batches)
            self.batches = []
        if self.submissions:
            messages.append(Submit(self.submissions))
            self.submissions = []
        if self.awaits:
            messages.append(Await(self.awaits))
            self.awaits = []
        if self.cancels:
            messages.append(CancelJobs(self.cancels))
            self.cancels = []
        if self.outcomes:
            messages.append(Finished(self.outcomes))
            self.outcomes = []
        if self.others:
            messages.extend(self.others)
            self.others = []
        self.size = 0
        return messages

    def _take(self, limit: int) -> list[FromPeer]:
        """As many of the oldest as fit, in the same order; at least one."""
        part, used = Outbox(), 0
        for name, size_of in _SIZES:
            items = getattr(self, name)
            n = 0
            for item in items:
                size = size_of(item)
                if used and used + size > limit:
                    break
                used += size
                n += 1
            setattr(part, name, items[:n])
            setattr(self, name, items[n:])
            if n < len(items):
                break
        self.size = max(1, self.size - used)
        return part._take_all()


_SIZES = (
    ("tasks", size_of_task),
    ("started", size_of_held),
    ("progress", size_of_progress),
    ("logs", size_of_log),
    ("forgets", size_of_id),
    ("batches", size_of_batch),
    ("submissions", size_of_submission),
    ("awaits", size_of_id),
    ("cancels", size_of_id),
    ("outcomes", size_of_outcome),
    ("others", size_of_other),
)
