"""The table of answers: what each status means, for one job and for many, now and at the last attempt."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.verdict import (
    RETRY_PAUSES_S,
    Verdict,
    by_status,
    fault,
    is_refusal,
    retry_after_said,
    retry_pause_s,
)
from autobatch_shared.contract.errors import (
    AutobatchError,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamUnavailable,
)

CUT, PASS_ON, TELL, SPLIT, RETRY, GIVE_UP = Verdict
ONE, MANY, AS_IT_CAME = (1, False), (8, False), (1, True)

#: Status -> verdicts for one job, many jobs and a verbatim job, first while there are attempts left, then at the last.
TABLE: dict[int, tuple[tuple[Verdict, Verdict, Verdict], tuple[Verdict, Verdict, Verdict]]] = {
    200: ((CUT, CUT, PASS_ON), (CUT, CUT, PASS_ON)),
    # no answer of the route at all
    201: ((GIVE_UP, GIVE_UP, GIVE_UP), (GIVE_UP, GIVE_UP, GIVE_UP)),
    204: ((GIVE_UP, GIVE_UP, GIVE_UP), (GIVE_UP, GIVE_UP, GIVE_UP)),
    302: ((GIVE_UP, GIVE_UP, GIVE_UP), (GIVE_UP, GIVE_UP, GIVE_UP)),
    # an input's fault: alone it is the client's to hear, among others it is isolated
    400: ((PASS_ON, SPLIT, PASS_ON), (PASS_ON, SPLIT, PASS_ON)),
    413: ((PASS_ON, SPLIT, PASS_ON), (PASS_ON, SPLIT, PASS_ON)),
    422: ((PASS_ON, SPLIT, PASS_ON), (PASS_ON, SPLIT, PASS_ON)),
    # our key, which is none of the client's business
    401: ((GIVE_UP, GIVE_UP, GIVE_UP), (GIVE_UP, GIVE_UP, GIVE_UP)),
    403: ((GIVE_UP, GIVE_UP, GIVE_UP), (GIVE_UP, GIVE_UP, GIVE_UP)),
    # the account, which no call to this server has more of
    402: ((TELL, TELL, TELL), (TELL, TELL, TELL)),
    # our way to call, unless the client chose it
    404: ((GIVE_UP, GIVE_UP, PASS_ON), (GIVE_UP, GIVE_UP, PASS_ON)),
    405: ((GIVE_UP, GIVE_UP, PASS_ON), (GIVE_UP, GIVE_UP, PASS_ON)),
    415: ((GIVE_UP, GIVE_UP, PASS_ON), (GIVE_UP, GIVE_UP, PASS_ON)),
    # an outage, or an input on which the model fails: only what stays may be an input's fault
    424: ((RETRY, RETRY, RETRY), (PASS_ON, SPLIT, PASS_ON)),
    500: ((RETRY, RETRY, RETRY), (PASS_ON, SPLIT, PASS_ON)),
    # no attempt: its jobs wait
    429: ((GIVE_UP, GIVE_UP, GIVE_UP), (GIVE_UP, GIVE_UP, GIVE_UP)),
    # an outage: never split, for that would multiply the calls to an upstream that cannot take one
    501: ((RETRY, RETRY, RETRY), (GIVE_UP, GIVE_UP, GIVE_UP)),
    502: ((RETRY, RETRY, RETRY), (GIVE_UP, GIVE_UP, GIVE_UP)),
    503: ((RETRY, RETRY, RETRY), (GIVE_UP, GIVE_UP, GIVE_UP)),
    504: ((RETRY, RETRY, RETRY), (GIVE_UP, GIVE_UP, GIVE_UP)),
}


@pytest.mark.parametrize("status", TABLE)
def test_a_status_means_what_the_table_says(status: int) -> None:
    actual = tuple(
        tuple(
            by_status(status, jobs, is_verbatim=is_verbatim, may_retry=may_retry)
            for jobs, is_verbatim in (ONE, MANY, AS_IT_CAME)
        )
        for may_retry in (True, False)
    )

    assert TABLE[status] == actual


EVERY_CASE = [
    (status, jobs, is_verbatim, may_retry)
    for status, (jobs, is_verbatim), may_retry in itertools.product(
        range(100, 600), (ONE, (2, False), MANY, AS_IT_CAME), (True, False)
    )
]


def test_whatever_the_status_the_verdict_can_be_carried_out() -> None:
    """An answer to several jobs is no job's own; a single job cannot be split; attempts and good answers are finite."""
    for status, jobs, is_verbatim, may_retry in EVERY_CASE:
        verdict = by_status(status, jobs, is_verbatim=is_verbatim, may_retry=may_retry)
        case = (status, jobs, is_verbatim, may_retry, verdict)
        assert verdict is not PASS_ON or jobs == 1, case
        assert verdict is not SPLIT or jobs > 1, case
        assert verdict is not RETRY or may_retry, case
        assert verdict is not CUT or (status == 200 and not is_verbatim), case


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, UpstreamOverloaded),
        (502, UpstreamUnavailable),
        (503, UpstreamUnavailable),
        (504, UpstreamUnavailable),
        (520, UpstreamUnavailable),
        (524, UpstreamUnavailable),
        (529, UpstreamUnavailable),
        (204, UpstreamProtocolError),
        (302, UpstreamProtocolError),
        (401, UpstreamProtocolError),
        (404, UpstreamProtocolError),
        (501, UpstreamProtocolError),
    ],
)
def test_a_fault_says_whose_it_was(status: int, expected: type[AutobatchError]) -> None:
    assert type(fault(status)) is expected
    assert status == 429 or str(status) in str(fault(status))


def test_every_fault_is_the_upstreams() -> None:
    assert [status for status in range(100, 600) if not isinstance(fault(status), UpstreamError)] == []


@pytest.mark.parametrize(
    ("status", "retry_after", "is_refused"),
    [
        (429, None, True),
        (429, "3", True),
        (503, "3", True),
        (503, None, False),
        (503, "soon", False),
        (500, "3", False),
    ],
)
def test_a_refusal_is_an_answer_that_says_not_now(status: int, retry_after: str | None, is_refused: bool) -> None:  # noqa: FBT001
    assert is_refused is is_refusal(status, retry_after)


def test_an_overload_is_told_in_teis_words() -> None:
    assert str(fault(429)) == "Model is overloaded"


def test_pauses_grow_to_the_longest() -> None:
    pauses = [retry_pause_s(attempt, None) for attempt in range(len(RETRY_PAUSES_S) + 3)]

    assert pauses == sorted(pauses)
    assert pauses[: len(RETRY_PAUSES_S)] == list(RETRY_PAUSES_S)
    assert set(pauses[len(RETRY_PAUSES_S) :]) == {RETRY_PAUSES_S[-1]}


@pytest.mark.parametrize(
    ("retry_after", "pause_s"),
    [
        ("1", 1.0),
        ("0", RETRY_PAUSES_S[0]),  # never at once: attempts would be gone in a moment
        ("60", RETRY_PAUSES_S[-1]),
        ("9" * 5000, RETRY_PAUSES_S[-1]),
        (None, RETRY_PAUSES_S[0]),
        ("", RETRY_PAUSES_S[0]),
        ("-1", RETRY_PAUSES_S[0]),
        ("1.5", 1.5),
        ("1.5s", RETRY_PAUSES_S[0]),
        ("soon", RETRY_PAUSES_S[0]),
        ("²", RETRY_PAUSES_S[0]),
        ("Fri, 20 Nov 2026 07:28:00 GMT", RETRY_PAUSES_S[0]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_the_upstreams_own_pause_is_kept_within_reason(retry_after: str | None, pause_s: float) -> None:
    assert retry_pause_s(0, retry_after) == pause_s


@given(st.integers(0, 100), st.none() | st.text() | st.from_regex(r"[0-9]+", fullmatch=True))
def test_whatever_the_upstream_asks_for_the_pause_is_bounded(attempt: int, retry_after: str | None) -> None:
    assert 0 <= retry_pause_s(attempt, retry_after) <= RETRY_PAUSES_S[-1]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, "7"),
        ({"Retry-After": "7", "retry-after-ms": "6250"}, "6.25"),
        ({"Retry-After": "Sun, 22 Nov 2026 15:50:51 GMT"}, "51.000"),
        ({"Retry-After": "Sun, 22 Nov 2026 15:50:51 GMT", "Date": "Sun, 22 Nov 2026 15:50:41 GMT"}, "10.000"),
        ({"Retry-After": "Sun, 22 Nov 2026 15:00:00 GMT"}, "0.000"),
        ({"Retry-After": "Sun, 22 Nov 2026 15:50:51"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Sun, 99 Nov 2026 15:50:51 GMT"}, None),
        ({"retry-after-ms": "9" * 5_000}, "999999999999.999"),
    ],
)
def test_when_to_come_again_may_be_said_in_seconds_or_as_a_time(headers: dict[str, str], seconds: str | None) -> None:
    """RFC 9110, 10.2.3; gateways send times."""
    assert seconds == retry_after_said(headers, datetime(2026, 11, 22, 15, 50, tzinfo=UTC))
