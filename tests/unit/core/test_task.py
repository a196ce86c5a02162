"""What the manager knows of a task."""

import msgspec
import pytest

from easyjobs.core.job import Lane
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options, TaskSpec, is_name
from easyjobs.core.workflow import Graph, Node

SIGNATURE = Signature((Parameter("x", {"type": "integer"}),))


@pytest.mark.parametrize("text", ["a", "A.b_c-9", "etl", "...a", "x" * 128, "0"])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "a/b", "a b", "a\n", "a\0", "é", "\u202eabc", "x" * 129, "a:b", "../a", "x" * 10240]
)
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        (Options(), 2),
        (Options(retry_policy="retry_always"), 0),
        (Options(retry_policy="never"), 1),
        (Options(retries=0), 1),
        (Options(retries=3), 4),
        (Options(retries=0, retry_policy="retry_always"), 1),
    ],
)
def test_retries_say_how_many_attempts_there_are_and_else_the_policy(options: Options, attempts: int) -> None:
    assert TaskSpec("q", "t", SIGNATURE, options).max_attempts == attempts


def test_the_lane_follows_the_signature() -> None:
    spec = TaskSpec("q", "t", SIGNATURE)
    assert spec.lane == Lane("q", "t", SIGNATURE.hash)
    other = TaskSpec("q", "t", Signature((Parameter("y", {"type": "integer"}),)))
    assert other.lane != spec.lane


def test_a_spec_survives_a_journey_as_json_and_ignores_what_newer_workers_add() -> None:
    spec = TaskSpec("q", "t", SIGNATURE, Options(unique=("x",), timeout=5.0), "Does.", "thread", meta={"a": 1})
    assert msgspec.json.decode(msgspec.json.encode(spec), type=TaskSpec) == spec
    newer = b'{"queue":"q","name":"t","signature":{},"options":{"retries":1,"shiny":true},"colour":"red"}'
    assert msgspec.json.decode(newer, type=TaskSpec).options == Options(retries=1)


def test_a_workflow_with_another_graph_is_another_lane() -> None:
    graphs = [Graph((Node("a", "t"),)), Graph((Node("b", "t"),)), None]
    assert len({TaskSpec("q", "t", SIGNATURE, graph=graph).lane for graph in graphs}) == 3
