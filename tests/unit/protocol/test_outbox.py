"""What is gathered leaves in one frame, or in several under the limit, in an order that makes sense."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from easyjobs.core.signature import Signature
from easyjobs.core.task import TaskSpec
from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import (
    Await,
    CancelJobs,
    Finished,
    Forget,
    Held,
    Log,
    Outcome,
    Ping,
    Progress,
    Register,
    Started,
    Submission,
    Submit,
)
from easyjobs.protocol.outbox import (
    Outbox,
    size_of_batch,
    size_of_held,
    size_of_id,
    size_of_log,
    size_of_other,
    size_of_outcome,
    size_of_progress,
    size_of_submission,
    size_of_task,
)

NASTY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def filled() -> Outbox:
    box = Outbox()
    box.others.append(Ping())
    box.outcomes.append(Outcome("j", 1, "t"))
    box.cancels.append("c")
    box.forgets.append("f")
    box.awaits.append("a")
    box.submissions.append(Submission("i", "q", "n"))
    box.batches.append(Submit([Submission("b", "q", "n")], together=True))
    box.logs.append(Log("j", 1, "t", [(1.0, "info", "line")]))
    box.progress.append(Progress("j", 1, "t", 0.5))
    box.started.append(Held("k", 1, "t"))
    box.tasks.append(TaskSpec("q", "n", Signature()))
    box.size = 5000
    return box


ORDER = [Register, Started, Progress, Log, Forget, Submit, Submit, Await, CancelJobs, Finished, Ping]


def test_an_empty_outbox_has_no_frame() -> None:
    assert Outbox().frame(1000) is None


def test_everything_leaves_in_one_frame_tasks_first_outcomes_after_their_logs() -> None:
    box = filled()
    frame = box.frame(100_000)
    assert frame is not None
    assert [type(m) for m in decode_from_peer(frame)] == ORDER
    assert box.frame(100_000) is None


def test_under_a_low_limit_everything_leaves_in_the_same_order_in_many_frames() -> None:
    box = filled()
    kinds = []
    while (frame := box.frame(1)) is not None:
        messages = decode_from_peer(frame)
        assert len(messages) == 1
        kinds.append(type(messages[0]))
    assert kinds == ORDER


def test_a_long_list_is_cut_into_frames_under_the_limit_and_nothing_is_lost() -> None:
    box = Outbox()
    outcomes = [Outcome(f"job-{n}", 1, "token", result=msgspec.Raw(b"[%d]" % n)) for n in range(100)]
    box.outcomes.extend(outcomes)
    box.size = sum(map(size_of_outcome, outcomes))
    limit = 4000
    seen: list[str] = []
    frames = 0
    while (frame := box.frame(limit)) is not None:
        assert len(frame) <= limit
        (message,) = decode_from_peer(frame)
        assert isinstance(message, Finished)
        seen += [outcome.job for outcome in message.outcomes]
        frames += 1
    assert seen == [outcome.job for outcome in outcomes]
    assert frames > 1


def test_one_item_over_the_limit_leaves_alone() -> None:
    box = Outbox()
    big = Outcome("big", 1, "t", result=msgspec.Raw(b'"' + b"x" * 5000 + b'"'))
    box.outcomes.extend([big, Outcome("small", 1, "t")])
    box.size = 6000
    first, second = box.frame(1000), box.frame(1000)
    assert first is not None
    assert second is not None
    assert len(first) > 5000
    assert b"small" in second


@given(NASTY, NASTY, NASTY)
def test_sizes_are_never_below_what_a_frame_takes(a: str, b: str, c: str) -> None:
    raw = msgspec.Raw(msgspec.json.encode([a, b]))
    job = Submission(a, b, c, raw, raw, 2**31, 1e300, 1e-300, 0.1, 1 / 3, 10**9, a, b, True)
    outcome = Outcome(a, 10**9, b, "completed", raw, raw, True, 1 / 3, c)
    progress = Progress(a[:16], 10**9, b[:16], 1 / 3, c)
    log = Log(a, 1, b, [(1e300, "critical", c)] * 3)
    held = Held(a, 10**9, b)
    assert len(encode([Submit([job])])) - 32 <= size_of_submission(job)
    assert len(encode([Submit([job, job], together=True)])) <= size_of_batch(Submit([job, job], together=True))
    assert len(encode([Finished([outcome])])) - 32 <= size_of_outcome(outcome)
    assert len(encode([progress])) <= size_of_progress(progress)
    assert len(encode([log])) - 2 < size_of_log(log)
    assert len(encode([Started([held])])) - 32 <= size_of_held(held)
    assert len(encode([Await([a])])) - 32 <= size_of_id(a)
    assert len(encode([Ping()])) - 2 < size_of_other(Ping())
    spec = TaskSpec("q", "n", Signature(), doc=a)
    assert len(encode([Register([spec])])) - 32 <= size_of_task(spec)
