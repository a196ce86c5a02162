"""`easyjobs pause`: give out nothing of a queue or task, or to a worker."""

from __future__ import annotations

from typing import Final

from easyjobs.cli.pausing import pausing_command

command: Final = pausing_command(
    "pause",
    "paused",
    "Give out no more jobs of a queue or task, or to workers.",
    """Give out no more jobs of queues, of tasks (QUEUE:NAME), to workers (their ids), or to any worker at all
    (`workers`). What runs goes on; the pause outlives restarts, until `easyjobs resume` ends it.

    easyjobs pause task mail:send

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """,
)
