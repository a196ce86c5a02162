"""The SQLite store against the contract."""

from itertools import count
from pathlib import Path

import pytest

from easyjobs.stores.sqlite import SQLiteStore
from easyjobs.testing.conformance import MakeStore, StoreConformance


class TestSQLiteStore(StoreConformance):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        numbers = count()
        return lambda clock: SQLiteStore(str(tmp_path / f"{next(numbers)}.db"), clock=clock)
