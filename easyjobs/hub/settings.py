"""What a manager may be told about its engine room, with the defaults that the guarantees are written for."""

from __future__ import annotations

import msgspec

from easyjobs.protocol.messages import Limits
from easyjobs.settings import ManagerSettings
from easyjobs.stores.base import Retention


class HubSettings(msgspec.Struct, frozen=True):
    """Times in seconds, sizes in bytes or rows.

    `lease`: how long a silent worker keeps its jobs. `heartbeat`: how often it speaks. `grace`: how long a worker whose
    socket closed may take to come back. `assignment`: by when it must have acknowledged what it was sent.
    `stall`: a manager that slept longer than this grants everyone a fresh lease first. `word`: how long after its
    own deadline a worker may take to say that an attempt was stopped, before the manager ends it.
    `leads`: whether it does what one of several is enough for (schedules, start deadlines, old jobs, lost sessions of
    others), where nobody else does; else that is left to another process. `takes_pushed`: whether its workers take also
    jobs of tasks that are pushed elsewhere: it is there. `keep_tasks`: how long a task is known that nobody needs.
    """

    lease: float = 30.0
    heartbeat: float = 5.0
    grace: float = 5.0
    assignment: float = 10.0
    stall: float = 5.0
    word: float = 30.0
    leads: bool = True
    takes_pushed: bool = False
    send: float = 10.0
    hello: float = 10.0
    queue_depth: int = 1_000_000
    warn_depth: int = 100_000
    batch: int = 1_000  # entries of one commit
    claim: int = 1_000  # jobs of one claim
    inbox: int = 100_000  # submissions that may wait for their commit
    outbox: int = 8 * 1024 * 1024  # bytes that may wait for a slow reader
    prune_every: float = 60.0
    keep_tasks: float = 30 * 86_400.0
    retention: Retention = Retention()
    limits: Limits = Limits()

    def told(self) -> Limits:
        """The limits as a worker is told them, with this manager's times."""
        return msgspec.structs.replace(self.limits, heartbeat=self.heartbeat, lease=self.lease)


def hub_settings(settings: ManagerSettings) -> HubSettings:
    """What of a manager's settings is the hub's."""
    return HubSettings(
        lease=settings.lease,
        heartbeat=settings.heartbeat,
        grace=settings.grace,
        queue_depth=settings.queue_depth,
        warn_depth=settings.warn_depth,
        keep_tasks=settings.keep_tasks,
        retention=Retention(settings.keep_completed, settings.keep_others, settings.keep_rows, settings.keep_bytes),
        limits=Limits(arguments=settings.max_arguments, result=settings.max_result),
        leads=settings.scheduler,
    )
