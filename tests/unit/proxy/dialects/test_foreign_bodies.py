"""Bodies of other systems' routes, and the answers in their shapes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.requests.plan import Plan, Rules
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest, NotJson
from tests.unit.planning import RULES, body_of, plan_of


def queries(body: bytes) -> Plan:
    return plan_of("/v1/embedding", body)


def vectors(body: bytes) -> Plan:
    return plan_of("/vectors", body)


def answer(plan: Plan, rows: bytes) -> Any:
    return json.loads(body_of(plan, rows))


TEXTS = st.text(max_size=6)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_queries_are_the_texts_of_one_job(texts: list[str]) -> None:
    (job,) = queries(json.dumps([{"query": text, "x": 1} for text in texts]).encode()).jobs

    assert (json.loads(job.body), job.n) == (texts, len(texts))
    assert job.kind == ("solo" if "" in texts else "merge")


def test_queries_are_answered_with_an_object_each() -> None:
    plan = queries(b'[{"query":"a"},{"query":"b"}]')
    assert body_of(plan, b"[[1.50],[2e-7]]") == b'[{"embedding":[1.50]},{"embedding":[2e-7]}]'


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (b"", NotJson, "not JSON"),
        (b"[", NotJson, "not JSON"),
        (b"[{]", NotJson, "not JSON"),
        (b"\xff", NotJson, "not JSON"),
        (b'[{"query":"\\ud800"}]', NotJson, "not JSON"),
        (b"[" * 100_000, InvalidRequest, ""),
        (b"[]", EmptyInput, "empty"),
        (b"{}", InvalidRequest, "array"),
        (b"null", InvalidRequest, "array"),
        (b"[1]", InvalidRequest, "object"),
        (b"[{}]", InvalidRequest, "query"),
        (b'[{"query":1}]', InvalidRequest, "query"),
        (b'[{"query":"a"},{"query":null}]', InvalidRequest, "query"),
    ],
)
def test_what_are_no_queries_is_refused_by_name(body: bytes, error: type[InvalidRequest], says: str) -> None:
    with pytest.raises(error) as caught:
        queries(body)
    assert says in str(caught.value)


def test_too_many_queries_are_refused_in_teis_words() -> None:
    with pytest.raises(InvalidRequest, match=r"^batch size 3 > maximum allowed batch size 2$"):
        plan_of("/v1/embedding", b'[{"query":"a"},{"query":"a"},{"query":"a"}]', Rules(RULES.ruler, 2, 2048))


@given(TEXTS.filter(bool))
def test_a_text_comes_back_with_its_vector(text: str) -> None:
    plan = vectors(json.dumps({"text": text, "config": {"pooling_strategy": "cls"}}).encode())

    assert [json.loads(job.body) for job in plan.jobs] == [[text]]
    assert answer(plan, b"[[1, 2,3]]") == {"text": text, "dims": 3, "dim": 3, "vector": [1, 2, 3]}


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_texts_come_back_with_their_vectors(texts: list[str]) -> None:
    plan = vectors(json.dumps({"texts": texts}).encode())

    rows = [[float(place), 0.5] for place in range(len(texts))]
    assert answer(plan, json.dumps(rows).encode()) == {"texts": texts, "dims": 2, "dim": 2, "vectors": rows}


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (b"", NotJson, "not JSON"),
        (b"text=a", NotJson, "not JSON"),
        (b"{}", InvalidRequest, "`text` or `texts`"),
        (b'{"text":null}', InvalidRequest, "`text` or `texts`"),
        (b'{"text":1}', InvalidRequest, "text"),
        (b'{"texts":"a"}', InvalidRequest, "texts"),
        (b'{"texts":[1]}', InvalidRequest, "texts"),
        (b"[]", InvalidRequest, "object"),
        (b'{"text":""}', EmptyInput, "`text` cannot be empty"),
        (b'{"texts":[]}', EmptyInput, "`texts` cannot be empty"),
    ],
)
def test_what_is_no_text_is_refused_by_name(body: bytes, error: type[InvalidRequest], says: str) -> None:
    with pytest.raises(error) as caught:
        vectors(body)
    assert says in str(caught.value)
    assert type(caught.value) is error
