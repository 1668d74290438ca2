"""TEI as the batcher speaks it: what it says of itself, of its failures and of its tokens."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.base import Answer, Condition
from autobatch_batcher.dialects.tei import TOKENS_HEADER, Tei
from autobatch_batcher.dialects.verdict import Verdict
from autobatch_shared.contract.cards import NO_CARD, Identity
from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.contract.status import BatcherStatus, Fleet, UpstreamStatus, encode
from tests.unit.batcher.dialects.contract import DialectContract, answer

TEI = Tei()
INFO: dict[str, Any] = {
    "model_id": "all-MiniLM-L6-v2",
    "model_sha": None,
    "model_dtype": "float32",
    "model_type": {"embedding": {"pooling": "mean"}},
    "max_input_length": 256,
    "auto_truncate": True,
    "max_client_batch_size": 32,
    "version": "1.9.0",
}
DECIDING = ("model_id", "model_sha", "model_dtype", "model_type", "max_input_length", "auto_truncate")


class TestContract(DialectContract):
    dialect = TEI

    def said(self, vectors: Sequence[Sequence[float]]) -> bytes:
        return json.dumps(vectors).encode()


def info(**other: object) -> bytes:
    return json.dumps(INFO | other).encode()


def identity(said: bytes) -> Identity | None:
    return TEI.card(said).identity


# What it says of itself.


def test_a_card_has_what_info_says() -> None:
    card = TEI.card(info(model_sha="f00", served_model_name="mini", max_concurrent_requests=512))

    assert (card.name, card.kind) == ("mini", "embedding")
    assert (card.inputs_max, card.in_flight_inputs_max, card.input_tokens_max) == (32, 512, 256)
    assert card.identity is not None
    assert (card.identity.model, card.identity.revision, card.identity.dtype) == ("all-MiniLM-L6-v2", "f00", "float32")
    assert (card.identity.pooling, card.identity.cuts_inputs) == ("mean", True)


def test_what_clients_are_told_is_in_the_upstreams_own_bytes() -> None:
    about = TEI.card(b'{"model_id":"\\u00e9", "f": 1e-07,"version":"1.9.3"}').about

    assert about is not None
    assert {name: bytes(raw) for name, raw in about.items()} == {
        "model_id": b'"\\u00e9"',
        "f": b"1e-07",
        "version": b'"1.9.3"',
    }


def test_upstreams_that_agree_have_one_identity() -> None:
    """However each of them writes it, and whatever else differs."""
    shuffled = json.dumps(dict(reversed(INFO.items())) | {"max_client_batch_size": 8}, indent=2).encode()

    assert identity(info()) is not None
    assert identity(info()) == identity(shuffled)


@pytest.mark.parametrize("field", DECIDING)
def test_what_changes_vectors_changes_the_identity(field: str) -> None:
    other = info(**{field: "other"})

    assert identity(other) not in (None, identity(info()))


def test_an_identity_knows_the_pooling() -> None:
    assert identity(info()) != identity(info(model_type={"embedding": {"pooling": "cls"}}))


ODD = [
    b"",
    b"[]",
    b"null",
    b"<html>",
    b'{"model_id":',
    b'{"model_sha":"f00"}',
    b'{"model_id":""}',
    b'{"model_id":null}',
    b'{"model_id":7}',
    b'{"model_id":"\xff"}',
    b'{"model_id":"\\ud800"}',
    b'{"model_id":"a","max_input_length":' + b"9" * 5000 + b"}",
    b'{"model_id":"a","model_type":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd[:40]))
def test_an_upstream_that_does_not_say_what_it_is_has_no_identity(odd: bytes) -> None:
    assert identity(odd) is None


@given(st.dictionaries(st.sampled_from(DECIDING), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_no_info_is_an_error(said: dict[str, object]) -> None:
    assert identity(json.dumps(said).encode()) is None or isinstance(said["model_id"], str)


def test_an_info_of_any_depth_does_not_hide_other_reports() -> None:
    """One such upstream would make every worker answer 503 to health probes. A report is a little deeper than it."""
    for depth in (10, *range(900, 1000), 100_000):
        card = TEI.card(b'{"x":' + b"[" * depth + b"]" * depth + b"}")
        reports = [
            encode(BatcherStatus(1, 0, [UpstreamStatus("u", True, 1, 0, card=each)])) for each in (card, NO_CARD)
        ]
        assert Fleet(reports, 1).is_healthy


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        ('{"embedding":{"pooling":"cls"}}', "embedding"),
        ('{"embedding":{"pooling":"mean"}}', "embedding"),
        ('{"embedding":{"pooling":"splade"}}', "sparse"),
        ('{"classifier":{"id2label":{},"label2id":{}}}', "classifier"),
        ('{"reranker":{"id2label":{},"label2id":{}}}', "reranker"),
        ('{"embedding":"splade"}', "embedding"),
        ('{"embedding":null}', "embedding"),
        ('"embedding"', "embedding"),
        ("null", "embedding"),
        ("[]", "embedding"),
        ("7", "embedding"),
        ('{"something":{}}', "embedding"),
    ],
)
def test_the_kind_is_the_models_type(model_type: str, kind: str) -> None:
    assert TEI.card(f'{{"model_id":"m","model_type":{model_type}}}'.encode()).kind == kind


@pytest.mark.parametrize(
    ("said", "name"),
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
def test_the_model_is_called_as_its_server_calls_it(said: bytes, name: str) -> None:
    assert TEI.card(said).name == name


# What it says of failures.


def tei(message: str) -> bytes:
    return b'{"error":"%b","error_type":"Backend"}' % message.encode()


OTHER_MODEL = [
    "Backend error: Model is not an embedding model",
    "Backend error: Model is not an embedding model with SPLADE pooling",
    "Backend error: Model is not a classifier model",
    "Backend error: model is not a re-ranker model",
    "Backend error: `normalize` is not available for SPLADE models",
    "Backend error: `embed_all` is not available for SPLADE models",
]


@pytest.mark.parametrize("message", OTHER_MODEL)
@pytest.mark.parametrize("spaced", [b"%b", b" %b\n"])
def test_a_route_of_another_model_is_an_answer_and_no_failure(message: str, spaced: bytes) -> None:
    """No retries and no halves, however many jobs ask for it, and nothing against the upstream."""
    said = answer(spaced % tei(message), 424)

    assert TEI.condition(said) is Condition.UNKNOWN
    assert TEI.judge(said, 8, is_verbatim=False, may_retry=True) is Verdict.PASS_ON
    assert TEI.condition(answer(tei(message), 500)) is Condition.FAILING


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        tei("Backend error: out of memory"),
        tei("Model is overloaded"),
        tei('Backend error: Model is not a \\"user text\\"'),
        tei("Backend error: could not compute: Model is not a classifier model"),
        tei("score is NaN"),
        b"Backend error: Model is not a classifier model",
    ],
)
def test_a_failure_is_a_failure(body: bytes) -> None:
    assert TEI.condition(answer(body, 424)) is Condition.FAILING
    assert TEI.judge(answer(body, 424), 1, is_verbatim=False, may_retry=True) is Verdict.RETRY


@pytest.mark.parametrize(
    ("status", "condition"),
    [(200, Condition.WELL), (422, Condition.WELL), (429, Condition.WELL), (500, Condition.FAILING)],
)
def test_only_its_own_failures_count_against_it(status: int, condition: Condition) -> None:
    assert TEI.condition(answer(b"", status)) is condition


# What it says of tokens.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"[1]",
        b"[[1]]",
        b'["a"]',
        b'[[{"id":1}],[]]',
        b'[[{"id":1}]',
        b"[null]",
        b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_count_is_the_upstreams_fault(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        TEI.counts(answer(body), 1)


def test_tokens_are_counted_and_not_looked_at() -> None:
    assert TEI.counts(answer(b' [[{"id":1},{"x":[{}]}],[]]'), 2) == [2, 0]


@pytest.mark.parametrize(
    ("said", "expected"),
    [("7", 7), ("0", 0), ("", None), ("-1", None), ("1.5", None), ("many", None), ("\u0663", None), ("9" * 12, None)],
)
def test_a_header_that_is_no_number_says_nothing(said: str, expected: int | None) -> None:
    assert TEI.counted(Answer(200, "", b"", None, {TOKENS_HEADER: said})) == expected
    assert TEI.counted(answer(b"")) is None
