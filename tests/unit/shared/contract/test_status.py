"""What batchers tell of themselves: only what is fresh and theirs is believed."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autobatch_shared.contract.frames import VERSION
from autobatch_shared.contract.status import FRESH_MS, BatcherStatus, Fleet, UpstreamStatus, encode, raw_json
from tests.support.version_1 import old_report

NOW_MS = 1_790_000_000_000
INFO = b'{"model_id":"m",  "max_client_batch_size":32}'


def upstream(
    url: str = "http://u", *, is_healthy: bool = True, batch_inputs_max: int = 32, info: bytes = b"null"
) -> UpstreamStatus:
    return UpstreamStatus(url, is_healthy, batch_inputs_max, 0, msgspec.Raw(info))


def report(*upstreams: UpstreamStatus, at: int = NOW_MS) -> bytes:
    return encode(BatcherStatus(at, 5, list(upstreams)))


def fleet(*reports: bytes) -> Fleet:
    return Fleet(reports, NOW_MS)


def test_a_report_comes_out_as_it_went_in() -> None:
    status = BatcherStatus(NOW_MS, 7, [UpstreamStatus("http://u", True, 32, 3)])

    (found,) = fleet(encode(status)).batchers

    assert (found.at, found.held) == (NOW_MS, 7)
    assert [(u.url, u.is_healthy, u.batch_inputs_max, u.in_flight, bytes(u.info)) for u in found.upstreams] == [
        ("http://u", True, 32, 3, b"null")
    ]


@pytest.mark.parametrize(("age_ms", "is_fresh"), [(-50, True), (0, True), (FRESH_MS - 1, True), (FRESH_MS, False)])
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


def test_a_batcher_of_a_later_version_answers_for_itself() -> None:
    assert fleet(encode(BatcherStatus(NOW_MS, 0, [upstream()], frame_version=VERSION + 1))).answers_our_frames


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


@pytest.mark.parametrize(
    ("allowed", "configured", "expected"),
    [([], 32, 32), ([8], 32, 8), ([64], 32, 32), ([16, 8, 24], 32, 8), ([32], 4, 4)],
)
def test_a_job_is_no_bigger_than_every_upstream_takes(allowed: list[int], configured: int, expected: int) -> None:
    found = fleet(*(report(upstream(batch_inputs_max=each)) for each in allowed))

    assert found.batch_inputs_max(configured) == expected


@pytest.mark.parametrize("nonsense", [0, -1])
def test_a_job_may_always_have_an_input(nonsense: int) -> None:
    """Jobs of at most 0 inputs cannot be made: every request for a list would fail in the worker."""
    found = fleet(report(upstream(batch_inputs_max=nonsense)), report(upstream(batch_inputs_max=8)))

    assert found.batch_inputs_max(32) >= 1


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], None),
        ([report(upstream())], None),
        ([report(upstream(info=INFO))], INFO),
        ([report(upstream(), upstream(info=INFO))], INFO),
        ([report(upstream(info=b'{"old":1}', is_healthy=False)), report(upstream(info=INFO))], INFO),
        ([report(upstream(info=INFO, is_healthy=False))], INFO),
        ([report(upstream(info=INFO), at=NOW_MS - FRESH_MS)], None),
    ],
)
def test_info_is_the_upstreams_own_bytes(reports: list[bytes], expected: bytes | None) -> None:
    assert fleet(*reports).info == expected


@given(st.binary() | st.text().map(lambda text: json.dumps({"a": text}).encode()))
@example(INFO)
@example(b"")
@example(b" null\n")
@example(b'{"a":1}\n')
@example(b'{"a":"\xff"}')
@example(b'"\\ud800"')
@example(b"1e999")
@example(b"9" * 5000)
@example(b"[1]]")
def test_whatever_an_upstream_says_its_report_can_be_read(said: bytes) -> None:
    status = BatcherStatus(
        NOW_MS, 0, [UpstreamStatus("u", is_healthy=True, batch_inputs_max=1, in_flight=0, info=raw_json(said))]
    )

    found = fleet(encode(status))

    assert found.is_healthy
    assert found.info in (None, said.strip())


def test_an_info_of_any_depth_does_not_hide_other_reports() -> None:
    """One such upstream would make every worker answer 503 to health probes. A report is a little deeper than it."""
    for depth in (10, *range(900, 1000), 100_000):
        info = raw_json(b"[" * depth + b"]" * depth)
        deep = UpstreamStatus("u", is_healthy=True, batch_inputs_max=1, in_flight=0, info=info)
        assert fleet(report(deep), report(upstream())).is_healthy


def test_json_is_kept_as_it_is_and_other_bytes_are_null() -> None:
    assert bytes(raw_json(INFO)) == INFO
    assert bytes(raw_json(b"<html>")) == b"null"
    assert bytes(raw_json(b'{"a":1}x')) == b"null"


def told(info: bytes) -> Fleet:
    return fleet(report(upstream(info=info)))


@pytest.mark.parametrize(
    ("model_type", "route"),
    [
        ('{"embedding":{"pooling":"cls"}}', "/embed"),
        ('{"embedding":{"pooling":"mean"}}', "/embed"),
        ('{"embedding":{"pooling":"splade"}}', "/embed_sparse"),
        ('{"classifier":{"id2label":{},"label2id":{}}}', "/predict"),
        ('{"reranker":{"id2label":{},"label2id":{}}}', "/rerank"),
        ('{"embedding":"splade"}', "/embed"),
        ('{"embedding":null}', "/embed"),
        ('"embedding"', "/embed"),
        ("null", "/embed"),
        ("[]", "/embed"),
        ("7", "/embed"),
        ('{"something":{}}', "/embed"),
    ],
)
def test_the_alias_is_as_the_models_type_says(model_type: str, route: str) -> None:
    assert told(f'{{"model_id":"m","model_type":{model_type}}}'.encode()).alias == route


@pytest.mark.parametrize(
    ("info", "name"),
    [
        (b'{"served_model_name":"served","model_id":"m"}', "served"),
        (b'{"model_id":"m"}', "m"),
        (b'{"served_model_name":null,"model_id":"m"}', "m"),
        (b'{"served_model_name":"","model_id":"m"}', "m"),
        (b'{"served_model_name":7,"model_id":"m"}', "m"),
        (b'{"served_model_name":7,"model_id":[]}', ""),
        (b"{}", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'"m"', ""),
    ],
)
def test_the_model_is_called_as_its_server_calls_it(info: bytes, name: str) -> None:
    assert told(info).served_model == name


def test_while_nobody_has_told_there_is_no_model() -> None:
    assert (fleet().served_model, fleet().alias, fleet().info) == ("", "/embed", None)


def test_a_well_upstream_speaks_before_one_that_is_away() -> None:
    away = upstream("http://a", is_healthy=False, info=b'{"model_id":"old"}')

    assert fleet(report(away, upstream("http://b", info=b'{"model_id":"new"}'))).served_model == "new"


def test_a_report_with_an_info_that_is_no_utf8_is_skipped() -> None:
    """Workers hand it to their clients as it is."""
    broken = report(upstream(info=b'{"model_id":"m","x":"\xff"}'))

    assert fleet(broken).batchers == ()
    assert len(fleet(broken, report(upstream())).batchers) == 1
