"""What is counted of a run, and what is not."""

from autobatch_batcher.simulating.clients import AnsweredRequest, RunHistory, Sent, SimulatedRequest
from autobatch_batcher.simulating.score import score


def history() -> RunHistory:
    singles = [
        AnsweredRequest(at_s, at_s + 0.001 * (1 + number), SimulatedRequest((5,)), True)
        for number, at_s in enumerate([1.0] * 100)
    ]
    bulk = AnsweredRequest(0.0, 1.5, SimulatedRequest((5,) * 50, is_bulk=True), True)
    refused = AnsweredRequest(1.0, 1.1, SimulatedRequest((5,)), False)
    return RunHistory(
        replied=[*((each.ended_s, 1) for each in singles), (1.5, 50)],
        answered=[*singles, bulk, refused],
        calls=[Sent(0.5, 100, 100, 1), Sent(1.0, 2, 10, 15), Sent(1.2, 4, 10, 30)],
    )


def test_a_score_is_of_its_part_of_the_run() -> None:
    scored = score(history(), 1.0, 2.0)
    assert (150.0, 1, 3.0) == (scored.goodput, scored.failed, scored.batch)
    assert 1 - 45 / 60 == scored.padding


def test_latency_is_that_of_single_requests() -> None:
    scored = score(history(), 1.0, 2.0)
    assert (50, 99) == (round(scored.p50_ms), round(scored.p99_ms))


def test_who_works_off_a_backlog_is_not_better_than_who_has_none() -> None:
    late = history()
    late.arrived = [(0.1, 100), (1.2, 30)]
    assert 30 == score(late, 1.0, 2.0).goodput


def test_where_nothing_happened_everything_is_zero() -> None:
    scored = score(RunHistory(), 0.0, 1.0)
    assert (0, 0, 0, 0, 0, 0) == (
        scored.goodput,
        scored.p50_ms,
        scored.p99_ms,
        scored.batch,
        scored.padding,
        scored.failed,
    )
