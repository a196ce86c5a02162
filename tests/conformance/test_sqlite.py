"""The SQLite store against the contract."""

from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from telling import so_many

from easyjobs.stores.sqlite import SQLiteStore
from easyjobs.testing.conformance import MakeStore, StoreConformance

pytestmark = pytest.mark.timeout(600)  # of the random stories, whose every step is on the disk


class TestSQLiteStore(StoreConformance):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        numbers = count()
        return lambda clock: SQLiteStore(str(tmp_path / f"{next(numbers)}.db"), clock=clock)

    @pytest.fixture
    def stories(self, seeds: int) -> settings:
        return so_many(max(25, seeds // 5))


class TestSharedSQLiteStore(TestSQLiteStore):
    """As one of several on a file: all it does is noted for others."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        numbers = count()
        return lambda clock: SQLiteStore(str(tmp_path / f"{next(numbers)}.db"), clock=clock, shared=True)
