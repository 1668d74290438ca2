"""What batchers tell of themselves: only what is fresh and theirs is believed."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX, Card, Identity
from autobatch_shared.contract.frames import VERSION
from autobatch_shared.contract.status import (
    FRESH_MS,
    UNKNOWN_BYTES_MAX,
    BatcherStatus,
    FailedCalls,
    Fleet,
    LearntCalls,
    RememberedCalls,
    UpstreamStatus,
    decode_remembered,
    encode,
    to_remember,
)
from tests.support.version_1 import old_report

NOW_MS = 1_790_000_000_000
CARD = Card(name="m", identity=Identity("m"), about={"model_id": msgspec.Raw(b'"m"'), "x": msgspec.Raw(b"[1,  2]")})
OLD = Card(name="old", identity=Identity("old"))
FAILED = FailedCalls(5, {"HTTP 500": 5}, "HTTP 500", 300)


def upstream(
    url: str = "http://u", *, is_healthy: bool = True, batch_inputs_max: int = 32, card: Card = NO_CARD
) -> UpstreamStatus:
    return UpstreamStatus(url, is_healthy, batch_inputs_max, 0, card=card)


def with_tokens_max(tokens_max: int, *, reason: str = "") -> UpstreamStatus:
    return UpstreamStatus("http://u", True, 32, 0, reason=reason, batch_tokens_max=tokens_max)


def report(*upstreams: UpstreamStatus, at: int = NOW_MS) -> bytes:
    return encode(BatcherStatus(at, 5, list(upstreams)))


def fleet(*reports: bytes) -> Fleet:
    return Fleet(reports, NOW_MS)


def test_a_report_comes_out_as_it_went_in() -> None:
    status = BatcherStatus(NOW_MS, 7, [UpstreamStatus("http://u", True, 32, 3, 999, CARD)])

    (found,) = fleet(encode(status)).batchers

    assert (found.at, found.held) == (NOW_MS, 7)
    assert found.upstreams == status.upstreams


@pytest.mark.parametrize(
    ("age_ms", "is_fresh"),
    [(-(10**13), False), (-FRESH_MS, False), (-50, True), (0, True), (FRESH_MS - 1, True), (FRESH_MS, False)],
)
def test_a_stale_report_is_ignored(age_ms: int, *, is_fresh: bool) -> None:
    """A little from the future is fresh: the batcher's view of Redis's clock may be ahead of ours."""
    assert fleet(report(upstream(), at=NOW_MS - age_ms)).is_healthy is is_fresh


def test_a_batcher_of_version_1_answers_none_of_our_frames() -> None:
    """It puts them aside, and does not say which version it reads. One beside others is enough to lose jobs."""
    ours = encode(BatcherStatus(NOW_MS, 0, [upstream()], frame_version=VERSION))

    assert fleet().answers_our_frames
    assert fleet(ours).answers_our_frames
    assert not fleet(old_report(NOW_MS)).answers_our_frames
    assert not fleet(ours, old_report(NOW_MS)).answers_our_frames
    assert fleet(ours, old_report(NOW_MS - FRESH_MS)).answers_our_frames


def test_a_batcher_of_a_later_version_leaves_our_frames_to_ours() -> None:
    """So one of ours has to be there; where none is, they would wait for ever."""
    ours, later = (encode(BatcherStatus(NOW_MS, 0, [upstream()], frame_version=VERSION + more)) for more in (0, 1))

    assert fleet(ours, later).answers_our_frames
    assert not fleet(later).answers_our_frames
    assert (0, VERSION + 1) == (fleet(ours, later).other_version, fleet(later).other_version)


def test_a_fleet_knows_every_report_also_an_old_one() -> None:
    assert fleet().reported == set()
    times = (NOW_MS - 700, NOW_MS - FRESH_MS, NOW_MS + FRESH_MS)
    assert fleet(*[report(upstream(), at=at) for at in times]).reported == {("", at) for at in times}


FOREIGN = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"1",
    b"\xff",
    b'{"at":1}',
    b'{"at":%d,"held":0}' % NOW_MS,
    b'{"at":"%d","held":0,"upstreams":[]}' % NOW_MS,
    b'{"at":%d,"held":0,"upstreams":{}}' % NOW_MS,
    b'{"at":%d,"held":0,"upstreams":[{"url":"u"}]}' % NOW_MS,
    b'{"at":%d,"held":0,"upstreams":[{"url":"\xff","is_healthy":true,"batch_inputs_max":1,"in_flight":0}]}' % NOW_MS,
    b'{"at":%d,"held":0,"upstreams":[]' % NOW_MS,
    report(upstream())[:-1],
    report(upstream()) + b"x",
    b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda foreign: repr(foreign[:50]))
def test_one_report_that_is_none_does_not_hide_the_others(foreign: bytes) -> None:
    """Of another version, perhaps, while a new one is rolled out."""
    assert len(fleet(foreign, report(upstream()), foreign).batchers) == 1


@given(st.lists(st.binary(), max_size=3))
def test_any_bytes_are_survived(reports: list[bytes]) -> None:
    assert fleet(*reports, report(upstream())).is_healthy


def test_a_field_that_a_later_version_adds_is_no_harm() -> None:
    fields = json.loads(report(upstream()))

    assert fleet(json.dumps(fields | {"new": [1]}).encode()).is_healthy


@pytest.mark.parametrize(
    ("reports", "is_healthy"),
    [
        ([], False),
        ([report()], False),
        ([report(upstream(is_healthy=False))], False),
        ([report(replace(upstream(), failed=FAILED))], False),  # its probes go well
        ([report(replace(upstream(), failed=FAILED, may_be_called=True))], True),
        ([report(upstream(is_healthy=False), upstream())], True),
        ([report(upstream(is_healthy=False)), report(upstream())], True),
        ([report(upstream(), at=NOW_MS - FRESH_MS), report(upstream(is_healthy=False))], False),
    ],
)
def test_a_fleet_is_healthy_when_any_upstream_is(reports: list[bytes], *, is_healthy: bool) -> None:
    assert fleet(*reports).is_healthy is is_healthy


def test_upstreams_are_of_all_batchers_healthy_ones_first() -> None:
    found = fleet(
        report(upstream("a", is_healthy=False), upstream("b")), report(upstream("c", is_healthy=False), upstream("d"))
    )

    assert [u.url for u in found.upstreams] == ["b", "d", "a", "c"]


@pytest.mark.parametrize(("allowed", "expected"), [([], UNKNOWN_MAX), ([8], 8), ([64], 64), ([16, 8, 24], 8)])
def test_a_job_is_no_bigger_than_every_upstream_takes(allowed: list[int], expected: int) -> None:
    found = fleet(*(report(upstream(batch_inputs_max=each)) for each in allowed))

    assert found.batch_inputs_max == expected


@pytest.mark.parametrize("nonsense", [0, -1])
def test_a_job_may_always_have_an_input(nonsense: int) -> None:
    """Jobs of at most 0 inputs cannot be made: every request for a list would fail in the worker."""
    found = fleet(report(upstream(batch_inputs_max=nonsense)), report(upstream(batch_inputs_max=8)))

    assert found.batch_inputs_max >= 1


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], NO_CARD),
        ([report(upstream())], NO_CARD),
        ([report(upstream(card=CARD))], CARD),
        ([report(upstream(), upstream(card=CARD))], CARD),
        ([report(upstream(card=OLD, is_healthy=False)), report(upstream(card=CARD))], CARD),
        ([report(upstream(card=CARD, is_healthy=False))], CARD),
        ([report(upstream(card=CARD), at=NOW_MS - FRESH_MS)], NO_CARD),
    ],
)
def test_the_card_is_a_healthy_upstreams_if_any_is(reports: list[bytes], expected: Card) -> None:
    assert fleet(*reports).card == expected


def test_what_is_excluded_bounds_nothing_and_describes_nothing() -> None:
    """It is not called: a smaller limit of its would only make the others' calls smaller."""
    excluded = msgspec.structs.replace(
        upstream(batch_inputs_max=1, card=OLD, is_healthy=False), request_bytes_max=1, reason="another model"
    )

    found = fleet(report(excluded, upstream(card=CARD)), report(excluded))

    assert (found.batch_inputs_max, found.request_bytes_max, found.card) == (32, UNKNOWN_BYTES_MAX, CARD)


def test_what_an_upstream_is_sent_at_most_is_what_each_takes() -> None:
    small, large = (msgspec.structs.replace(upstream(), request_bytes_max=size) for size in (100, 200))

    assert fleet(report(large), report(small)).request_bytes_max == 100
    assert fleet().request_bytes_max == UNKNOWN_BYTES_MAX


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5).map(lambda text: msgspec.Raw(json.dumps(text).encode())))
)
def test_whatever_an_upstream_says_its_report_can_be_read(about: dict[str, msgspec.Raw]) -> None:
    assert fleet(report(upstream(card=Card(about=about)))).card.about == about


def test_a_report_of_bytes_that_are_not_utf8_is_skipped() -> None:
    """Workers hand them to their clients as they are."""
    broken = report(upstream(card=Card(about={"x": msgspec.Raw(b'"\xff"')})))

    assert fleet(broken).batchers == ()
    assert len(fleet(broken, report(upstream())).batchers) == 1


@pytest.mark.parametrize(
    ("rates", "in_all"),
    [([], 0.0), ([0.0], 0.0), ([50.0], 50.0), ([50.0, 70.0], 120.0), ([50.0, 0.0], 100.0), ([40.0, 80.0, 0.0], 180.0)],
)
def test_a_batcher_that_has_not_measured_yet_counts_as_the_others_do(rates: list[float], in_all: float) -> None:
    """Or each batcher that is added to help makes the fleet look slower than it is, and requests are refused."""
    dead = report(upstream(is_healthy=False))

    assert (
        in_all == fleet(dead, *[encode(BatcherStatus(NOW_MS, 0, [upstream()], rate)) for rate in rates]).drained_per_s
    )


def test_the_tokens_of_a_call_are_what_every_upstream_takes() -> None:
    reports = report(with_tokens_max(16_384), with_tokens_max(8_192), with_tokens_max(9, reason="it serves another"))

    assert 8_192 == fleet(reports).batch_tokens_max
    assert UNKNOWN_MAX == fleet().batch_tokens_max


LEARNT = LearntCalls(100, "padded", 0.004, 5e-6, 0.0, 0.9, 0.1, 2, 8192)
REMEMBERED = RememberedCalls(NOW_MS, "0f", LEARNT)


def test_what_was_learnt_by_one_on_duty_is_kept_with_the_model_that_it_was_learnt_of() -> None:
    learnt = UpstreamStatus("http://a", True, 32, 0, counts_for="0f", learnt=LEARNT)
    others = [
        msgspec.structs.replace(learnt, url="http://b", is_on_duty=False),
        msgspec.structs.replace(learnt, url="http://c", counts_for=""),
        msgspec.structs.replace(learnt, url="http://d", learnt=None),
    ]

    assert {"http://a": REMEMBERED} == to_remember(BatcherStatus(NOW_MS, 0, [learnt, *others]))
    assert REMEMBERED == decode_remembered(encode(REMEMBERED))


def test_fields_of_a_newer_version_are_skipped() -> None:
    said = json.loads(encode(REMEMBERED))
    said["learnt"]["places"] = said["weather"] = 7

    assert REMEMBERED == decode_remembered(json.dumps(said).encode())


@pytest.mark.parametrize(
    "wrong",
    [
        {"flat_s": -1.0},
        {"flat_s": 0.0, "per_unit_s": 0.0},
        {"flat_s": 1e300},
        {"knee_units": -1},
        {"side_by_side": 2.0},
        {"calls": 0},
        {"units_max": 0},
        {"law": "by weight"},
        {"law": None},
        {"calls": "2"},
    ],
    ids=str,
)
def test_figures_that_no_calls_can_teach_are_none(wrong: dict[str, object]) -> None:
    said = json.loads(encode(REMEMBERED))
    said["learnt"] |= wrong

    assert decode_remembered(json.dumps(said).encode()) is None


@given(st.binary() | st.integers(0, 300).map(lambda cut: encode(REMEMBERED)[:cut]))
def test_bytes_that_are_not_what_was_kept_are_none(value: bytes) -> None:
    assert decode_remembered(value) in (None, REMEMBERED)
