"""The PostgreSQL store against the contract."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from postgres_pooler import own_pooler
from postgres_server import fresh_schema, own_server, with_options
from telling import so_many

from easyjobs.stores.postgres import PostgresStore
from easyjobs.testing.conformance import MakeStore, StoreConformance

pytestmark = pytest.mark.timeout(600)  # of the random stories, whose every step is many round trips


class TestPostgresStore(StoreConformance):
    @pytest.fixture
    def make_store(self, postgres_url: str) -> MakeStore:
        return lambda clock: PostgresStore(with_options(postgres_url, schema=fresh_schema()), clock=clock)

    @pytest.fixture
    def stories(self, seeds: int) -> settings:
        """Fewer than elsewhere: each takes a second."""
        return so_many(max(15, seeds // 50))


@pytest.fixture(scope="module")
def pooler_url() -> Iterator[str]:
    """The URL of a server behind a pooler."""
    server = own_server(fsync="off", deadlock_timeout="50ms")
    try:
        pooler = own_pooler(server)
        yield with_options(pooler.url, durability="any")
        pooler.close()
    finally:
        server.close()


@pytest.mark.long
class TestPostgresStoreBehindAPooler(TestPostgresStore):
    @pytest.fixture
    def make_store(self, pooler_url: str) -> MakeStore:
        return lambda clock: PostgresStore(with_options(pooler_url, schema=fresh_schema()), clock=clock)
