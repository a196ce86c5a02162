"""What a store says of others that no other process can open."""

from __future__ import annotations

from collections.abc import Callable, Collection

from easyjobs.stores.base import Hint


class Alone:
    """Of one process, in memory."""

    single_manager = True

    def nearly_full(self) -> bool:
        """Memory has no such bound."""
        return False

    def listen(self, heard: Callable[[Hint], None], me: str = "") -> None:
        """There is no other manager to hear of."""

    async def gone(self, hubs: Collection[str]) -> set[str]:
        """Nothing is known of others."""
        return set()

    async def away(self, hubs: Collection[str]) -> set[str]:
        """Nothing is known of others."""
        return set()
