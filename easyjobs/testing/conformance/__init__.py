"""The suite that every store must pass: cases for each sentence of the contract, and random operations.

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda clock: MyStore(tmp_path / f"{next(numbers)}.db", clock=clock)

`make_store` gives a new, empty store at each call, not yet opened, that takes its time from the `clock`. The memory
store is the specification: where a case here is silent, what it answers is right. Needs pytest and hypothesis.
"""

from easyjobs.testing.conformance.chains import ChainCases
from easyjobs.testing.conformance.claims import ClaimCases
from easyjobs.testing.conformance.lines import LineCases
from easyjobs.testing.conformance.machine import RandomCases
from easyjobs.testing.conformance.reads import ReadCases
from easyjobs.testing.conformance.retiring import RetiringCases
from easyjobs.testing.conformance.runs import RunCases
from easyjobs.testing.conformance.schedules import ScheduleCases
from easyjobs.testing.conformance.sessions import SessionCases
from easyjobs.testing.conformance.story import MakeStore
from easyjobs.testing.conformance.systems import SystemCases
from easyjobs.testing.conformance.turns import TurnCases
from easyjobs.testing.conformance.units import UnitCases
from easyjobs.testing.conformance.upkeep import UpkeepCases
from easyjobs.testing.conformance.wholeness import WholenessCases

__all__ = ["MakeStore", "StoreConformance"]


class StoreConformance(
    UnitCases,
    LineCases,
    WholenessCases,
    SessionCases,
    ClaimCases,
    ChainCases,
    TurnCases,
    RunCases,
    SystemCases,
    ScheduleCases,
    ReadCases,
    UpkeepCases,
    RetiringCases,
    RandomCases,
):
    """Override the fixture `make_store`."""
