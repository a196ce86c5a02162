"""Identifiers."""

from easyjobs.ids import Ids, derived_id, is_job_id


def test_an_id_that_comes_from_another_is_always_the_same_and_lies_beside_it() -> None:
    ids = Ids(1)
    first, second = ids.job_id(1_800_000_000.0), ids.job_id(1_800_000_000.0)
    found = {
        derived_id(first, "retry"),
        derived_id(first, "retry"),
        derived_id(first, "more"),
        derived_id(second, "retry"),
    }
    assert len(found) == 3
    assert all(is_job_id(id) and id[:13] == first[:13] and id[14] == "7" and id[19] in "89ab" for id in found)
