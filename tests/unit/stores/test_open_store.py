"""Which store a URL means."""

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.stores import open_store, shown_url
from easyjobs.stores.memory import MemoryStore
from easyjobs.stores.postgres import PostgresStore
from easyjobs.stores.sqlite import SQLiteStore


@pytest.mark.parametrize("url", ["memory:", "memory://"])
def test_memory(url: str) -> None:
    assert isinstance(open_store(url), MemoryStore)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///data/my jobs.db", "data/my jobs.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
    ],
)
def test_sqlite_with_a_relative_or_an_absolute_path(url: str, path: str) -> None:
    store = open_store(url)
    assert isinstance(store, SQLiteStore)
    assert store.path == path


@pytest.mark.parametrize(
    ("url", "dsn", "schema"),
    [
        ("postgresql://ann:secret@db:5433/jobs", "postgresql://ann:secret@db:5433/jobs", "easyjobs"),
        ("postgres://db/jobs?schema=mine&sslmode=require", "postgresql://db/jobs?sslmode=require", "mine"),
        ("postgresql:///jobs?host=%2Frun&pooler=1", "postgresql:///jobs?host=%2Frun", "easyjobs"),
    ],
)
def test_postgresql_with_our_options_and_the_drivers(url: str, dsn: str, schema: str) -> None:
    store = open_store(url)
    assert isinstance(store, PostgresStore)
    assert (store.address.dsn, store.address.schema) == (dsn, schema)
    assert store.address.listen is not store.address.pooler
    assert "secret" not in store.address.shown


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "memory:, sqlite:///"),
        ("jobs.db", "memory:, sqlite:///"),
        ("mysql://ann:secret@db/jobs", "memory:, sqlite:///"),
        ("postgresql://ann:secret@db/jobs?schema=my-jobs", "a-z, 0-9 and _"),
        ("postgresql://ann:secret@db/jobs?pooler=maybe", "write 1 or 0"),
        ("postgresql://ann:secret@db/jobs?durability=some", "write full or any"),
        ("memory:jobs", "write memory:"),
        ("sqlite:", "write sqlite:///"),
        ("sqlite:///", "write sqlite:///"),
        ("sqlite:jobs.db", "write sqlite:///"),
        ("sqlite://jobs.db", "write sqlite:///"),
        ("sqlite:///a\0b", "write sqlite:///"),
        ("sqlite:///:memory:", "written memory:"),
        ("sqlite:///jobs.db?mode=ro", "no options"),
    ],
)
def test_anything_else_is_refused_with_advice(url: str, advice: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_store(url)
    assert advice in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:se/cret@db/jobs",
        "postgresql://ann:se#cret@db/jobs",
        "postgresql://ann:se?cret@db/jobs",
        "postgresql://ann:p@se/cret#@db/jobs",
        "postgresql://ann:se[cret@db/jobs",
        "postgresql://ann:se\u2100cret@db/jobs",
        "postgresql://ann:secret@db:x/jobs",
        "postgresql://ann:secret@a:5432,b:99999/jobs",
        "postgresql://ann:secret@[::1/jobs",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_and_its_password_is_not_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as refusal:
        open_store(url)
    assert "se" not in str(refusal.value).replace("database", "").replace("user", "").replace("passwords", "")


@pytest.mark.parametrize("hosts", ["db", "[::1]", "[::1]:5433", "a:1,[::1]:2,c", "/", ""])
def test_hosts_that_can_be_read(hosts: str) -> None:
    assert open_store(f"postgresql://{hosts}/jobs")


def test_what_people_are_shown_of_a_store_has_no_secrets() -> None:
    assert (
        shown_url("postgresql://user:secret@host:1,other:2/db?sslpassword=secret") == "postgresql://…@host:1,other:2/db"
    )
    assert shown_url("sqlite:///jobs.db") == "sqlite:///jobs.db"
