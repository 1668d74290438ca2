"""The log names the upstream and the cause of a failed call, once for as long as it lasts."""

from typing import Any

import pytest

from autobatch_batcher.calling.failure_log import SAY_EVERY_S, FailureLog

A, B = "http://a", "http://b"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    return [
        tuple(getattr(record, name) for name in ("upstream", "cause", "then", "unlogged_calls"))
        for record in caplog.records
    ]


def test_an_outage_is_one_line_and_then_one_in_ten_seconds_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog()
    for number in range(100):
        failures.failed(A, "ECONNREFUSED", "waiting", 32, number * 0.01)
    failures.failed(A, "ECONNREFUSED", "waiting", 32, SAY_EVERY_S)

    assert [(A, "ECONNREFUSED", "waiting", 0), (A, "ECONNREFUSED", "waiting", 99)] == lines(caplog)


def test_another_cause_and_another_upstream_are_news(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog()
    for upstream, cause in ((A, "ECONNREFUSED"), (A, "status 500"), (B, "ECONNREFUSED"), (A, "status 500")):
        failures.failed(upstream, cause, "retried", 1, 0.0)

    assert 3 == len(lines(caplog))


def test_after_a_good_call_the_next_failure_is_news(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog()
    failures.failed(A, "status 500", "retried", 1, 0.0)
    failures.failed(B, "status 500", "retried", 1, 0.0)
    failures.answered(A)
    assert failures.is_telling
    failures.answered(B)
    assert not failures.is_telling
    failures.failed(A, "status 500", "retried", 1, 0.1)

    assert [A, B, A] == [line[0] for line in lines(caplog)]
