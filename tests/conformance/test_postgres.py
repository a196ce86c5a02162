"""The PostgreSQL store against the contract."""

import pytest
from hypothesis import Phase, settings
from postgres_server import fresh_schema, with_options

from easyjobs.stores.postgres import PostgresStore
from easyjobs.testing.conformance import MakeStore, StoreConformance

pytestmark = pytest.mark.timeout(120)  # of the random stories, whose every step is many round trips


class TestPostgresStore(StoreConformance):
    @pytest.fixture
    def make_store(self, postgres_url: str) -> MakeStore:
        return lambda clock: PostgresStore(with_options(postgres_url, schema=fresh_schema()), clock=clock)

    @pytest.fixture
    def stories(self) -> settings:
        """Fewer than elsewhere: each takes a second."""
        return settings(max_examples=15, stateful_step_count=25, phases=[Phase.generate], derandomize=True)
