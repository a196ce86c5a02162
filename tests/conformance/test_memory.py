"""The memory store against the contract it specifies."""

import pytest
from hypothesis import settings
from telling import so_many

from easyjobs.stores.memory import MemoryStore
from easyjobs.testing.conformance import MakeStore, StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return MemoryStore

    @pytest.fixture
    def stories(self) -> settings:
        """A few: it is compared with itself."""
        return so_many(5)
