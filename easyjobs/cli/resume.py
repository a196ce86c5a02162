"""`easyjobs resume`: give out again what was paused."""

from __future__ import annotations

from typing import Final

from easyjobs.cli.pausing import pausing_command

command: Final = pausing_command(
    "resume",
    "resumed",
    "End a pause.",
    """End the pause of queues, of tasks (QUEUE:NAME), of workers (their ids), or that of all workers (`workers`).

    easyjobs resume task mail:send

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """,
)
