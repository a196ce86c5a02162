"""The tasks of the two workers in compose.yaml; put your own here."""

from __future__ import annotations

from easyjobs import task


@task
async def hello(name: str = "world") -> str:
    """Greet somebody."""
    return f"hello {name}"
