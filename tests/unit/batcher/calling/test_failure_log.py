"""The log names the upstream and the cause of a failed call, once for as long as it lasts."""

from typing import Any

import pytest

from autobatch_batcher.calling.failure_log import SAY_EVERY_S, FailureLog
from autobatch_batcher.jobs import NAMED_MAX
from tests.unit.builders import make_job

A, B = "http://a", "http://b"
JOBS = [make_job(str(number)) for number in range(32)]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    return [
        tuple(getattr(record, name) for name in ("upstream", "cause", "then", "unlogged_calls"))
        for record in caplog.records
    ]


def test_an_outage_is_one_line_and_then_one_in_ten_seconds_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog()
    for number in range(100):
        failures.failed(A, "ECONNREFUSED", "waiting", JOBS, number * 0.01)
    failures.failed(A, "ECONNREFUSED", "waiting", JOBS, SAY_EVERY_S)

    assert [(A, "ECONNREFUSED", "waiting", 0), (A, "ECONNREFUSED", "waiting", 99)] == lines(caplog)


def test_another_cause_and_another_upstream_are_news(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog()
    for upstream, cause in ((A, "ECONNREFUSED"), (A, "status 500"), (B, "ECONNREFUSED"), (A, "status 500")):
        failures.failed(upstream, cause, "retried", JOBS, 0.0)

    assert 3 == len(lines(caplog))


def test_after_a_good_call_the_next_failure_is_news(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog()
    failures.failed(A, "status 500", "retried", JOBS, 0.0)
    failures.failed(B, "status 500", "retried", JOBS, 0.0)
    failures.answered(A)
    assert failures.is_telling
    failures.answered(B)
    assert not failures.is_telling
    failures.failed(A, "status 500", "retried", JOBS, 0.1)

    assert [A, B, A] == [line[0] for line in lines(caplog)]


def test_a_line_names_the_requests_and_traces_of_the_first_few_jobs(caplog: pytest.LogCaptureFixture) -> None:
    trace = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    jobs = [make_job(str(number), request=f"r{number}", trace=trace) for number in range(32)]
    FailureLog().failed(A, "status 500", "failed", [jobs[0], *jobs], 0.0)

    (record,) = caplog.records
    said = record.__dict__
    assert (33, ["r0", "r1", "r2", "r3"], [TRACE]) == (said["jobs"], said["request_ids"], said["trace_ids"])
    assert len(said["request_ids"]) <= NAMED_MAX


def test_a_line_of_jobs_without_names_has_only_their_number(caplog: pytest.LogCaptureFixture) -> None:
    FailureLog().failed(A, "status 500", "failed", JOBS, 0.0)

    said = caplog.records[0].__dict__
    assert (32, False, False) == (said["jobs"], "request_ids" in said, "trace_ids" in said)
