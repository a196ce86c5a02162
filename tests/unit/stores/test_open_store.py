"""Which store a URL means."""

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.stores import open_store
from easyjobs.stores.memory import MemoryStore
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
    ("url", "advice"),
    [
        ("", "memory: and sqlite:///"),
        ("jobs.db", "memory: and sqlite:///"),
        ("postgresql://ann:secret@db/jobs", "memory: and sqlite:///"),
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
