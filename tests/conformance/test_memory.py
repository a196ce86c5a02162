"""The memory store against the contract it specifies."""

import pytest

from easyjobs.stores.memory import MemoryStore
from easyjobs.testing.conformance import MakeStore, StoreConformance


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return MemoryStore
