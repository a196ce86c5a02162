"""The table of moves, and what it promises."""

from easyjobs.core.states import CLAIMABLE, FINAL, STATES, TRANSITIONS, WAITING, allowed


def test_only_what_the_table_holds_is_allowed() -> None:
    table = {(t.source, t.target) for t in TRANSITIONS}
    for source in (None, *STATES):
        for target in STATES:
            assert allowed(source, target) == ((source, target) in table)


def test_final_states_never_change() -> None:
    assert [t for t in TRANSITIONS if t.source in FINAL] == []


def test_no_move_is_listed_twice_and_each_says_who_makes_it() -> None:
    assert len({(t.source, t.target) for t in TRANSITIONS}) == len(TRANSITIONS)
    assert all(t.by for t in TRANSITIONS)


def test_every_state_can_be_reached_and_left_unless_it_is_final() -> None:
    assert {t.target for t in TRANSITIONS} == set(STATES)
    assert {t.source for t in TRANSITIONS} - {None} == set(STATES) - FINAL


def test_what_can_be_claimed_can_run() -> None:
    assert all(allowed(state, "running") for state in CLAIMABLE)
    assert not allowed(WAITING, "running")
