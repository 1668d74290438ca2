"""How many calls failed lately, and why."""

import re

from hypothesis import given
from hypothesis import strategies as some

from autobatch_batcher.tuning.recent_calls import LAST_COUNTS_S, RecentFailures
from autobatch_shared.contract.status import NO_ANSWER, FailedCalls
from autobatch_shared.watching.activity import RECENT_S
from autobatch_shared.watching.upstream_words import ANOTHER_CAUSE, CAUSES, kind_of_cause

IS_STATUS = re.compile(r"HTTP [1-5]\d\d").fullmatch


def called(failures: RecentFailures, now_s: float, *causes: str) -> None:
    """Let calls end: one that succeeds for each empty cause."""
    for cause in causes:
        failures.calls += 1
        if cause:
            failures.failed(cause, 30.0, now_s)


def test_calls_count_for_as_long_as_they_are_recent() -> None:
    failures = RecentFailures()
    assert failures.recent(0.0, are_all=False) is None
    called(failures, 0.5, "", "status 500", "", "ECONNREFUSED", "status 500")
    expected = FailedCalls(5, {"HTTP 500": 2, "connection refused": 1}, "HTTP 500", 500)
    assert expected == failures.recent(1.0, are_all=False)
    for second in range(2, 2 * RECENT_S):
        failures.recent(float(second), are_all=False)
    called(failures, 20.0, "", "")
    assert failures.recent(20.0, are_all=False) is None


def test_where_all_calls_fail_the_last_one_counts_though_the_pause_after_it_is_long() -> None:
    failures = RecentFailures()
    failures.recent(0.0, are_all=False)
    called(failures, 0.5, "status 500")
    for second in range(1, 31):
        seen = failures.recent(float(second), are_all=True)
    assert FailedCalls(0, {}, "HTTP 500", 29_500) == seen
    assert failures.recent(1.0 + LAST_COUNTS_S, are_all=True) is None, "it is not why the breaker is open"


def test_how_long_an_answer_was_waited_for_is_told_and_counted_as_one_cause() -> None:
    failures = RecentFailures()
    failures.recent(0.0, are_all=False)
    called(failures, 0.5, NO_ANSWER)
    seen = failures.recent(1.0, are_all=False)
    assert seen is not None
    assert ({NO_ANSWER: 1}, 30.0) == (seen.causes, seen.waited_s)


@given(
    some.text() | some.sampled_from(["dns: host: text", "tls: text", "status 503 at /text", "status 5031", "errno 7"])
)
def test_a_kind_of_cause_has_nothing_that_an_upstream_said(cause: str) -> None:
    kind = kind_of_cause(cause)
    assert IS_STATUS(kind) or kind in {*CAUSES.values(), ANOTHER_CAUSE}


def test_each_cause_has_its_kind() -> None:
    assert ["HTTP 503", "HTTP 500", "connection refused", "connection refused", "name not found", ANOTHER_CAUSE] == [
        kind_of_cause(cause)
        for cause in (
            "status 503 at /health",
            "status 500",
            "ECONNREFUSED",
            "connect: Connection refused (111)",
            "dns: gpu: Name or service not known",
            "",
        )
    ]
