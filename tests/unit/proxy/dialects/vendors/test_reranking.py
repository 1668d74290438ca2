"""Jina's and Cohere's reranking: what their bodies ask for, and the bodies of their answers."""

import json
from typing import Any

import msgspec
import pytest

from autobatch_proxy.dialects.vendors.reranking import RERANK_ERRORS
from autobatch_proxy.requests.plan import Allowed, Plan
from autobatch_shared.contract.errors import EmptyInput, InvalidRequest
from autobatch_shared.contract.options import Options
from tests.unit.planning import ALLOWED, RULES, body_of, plan_of

DOCUMENTS = ["a cake", {"text": "a field", "title": "kept"}, "a tree"]
RERANKER = msgspec.structs.replace(ALLOWED, alias="/rerank")
PREDICTED = b'[[{"score":0.25,"label":"L"}],[{"score":0.9,"label":"L"}],[{"score":0.25,"label":"L"}]]'
RANKED = b'[{"index":1,"score":0.9},{"index":2,"score":0.25},{"index":0,"score":0.25}]'


def asked(path: str = "/v1/rerank", allowed: Allowed = RERANKER, **fields: Any) -> Plan:
    body = {"model": "m", "query": "what", "documents": DOCUMENTS, **fields}
    return plan_of(path, json.dumps(body).encode(), RULES, allowed)


def results(plan: Plan, rows: bytes) -> Any:
    return json.loads(body_of(plan, rows))["results"]


def test_of_a_reranker_pairs_share_calls() -> None:
    plan = asked()

    (job,) = plan.jobs
    assert (plan.route, job.kind, plan.alone) == ("/predict", "merge", None)
    assert json.loads(job.body) == [["what", "a cake"], ["what", "a field"], ["what", "a tree"]]
    assert job.options == Options(truncate=True)


def test_elsewhere_the_list_goes_to_rerank_in_its_own_words() -> None:
    plan = asked(allowed=ALLOWED)

    (job,) = plan.jobs
    assert (plan.route, job.kind) == ("/rerank", "verbatim")
    assert json.loads(job.body) == {"texts": ["a cake", "a field", "a tree"], "query": "what", "truncate": True}


@pytest.mark.parametrize(("allowed", "rows"), [(RERANKER, PREDICTED), (ALLOWED, RANKED)])
def test_both_ways_give_the_same_results(allowed: Allowed, rows: bytes) -> None:
    assert results(asked(allowed=allowed), rows) == [
        {"index": 1, "relevance_score": 0.9, "document": {"text": "a field", "title": "kept"}},
        {"index": 2, "relevance_score": 0.25, "document": {"text": "a tree"}},
        {"index": 0, "relevance_score": 0.25, "document": {"text": "a cake"}},
    ]


@pytest.mark.parametrize("allowed", [RERANKER, ALLOWED])
def test_a_long_list_is_cut_and_its_results_are_in_one_order(allowed: Allowed) -> None:
    small = msgspec.structs.replace(allowed, job_inputs_max=2)
    plan = asked(allowed=small, return_documents=False)
    assert [job.n for job in plan.jobs] == [2, 1]
    rows = {
        "/predict": PREDICTED,
        "/rerank": b'[{"index":1,"score":0.9},{"index":0,"score":0.25},{"index":0,"score":0.25}]',
    }[plan.route]

    assert [each["index"] for each in results(plan, rows)] == [1, 2, 0]


def test_documents_are_shown_as_each_api_does() -> None:
    shown = ["document" in results(asked(path), PREDICTED)[0] for path in ("/v1/rerank", "/v2/rerank")]
    asked_for = asked("/v2/rerank", return_documents=True)

    assert shown == [True, False]
    assert "document" in results(asked_for, PREDICTED)[0]


def test_only_the_best_are_answered() -> None:
    assert [each["index"] for each in results(asked(top_n=2), PREDICTED)] == [1, 2]


def test_an_answer_has_what_both_vendors_clients_read() -> None:
    answer = json.loads(body_of(asked("/v2/rerank"), PREDICTED))

    assert (answer["id"], answer["model"]) == ("id", "the-model")
    assert answer["usage"] == {"total_tokens": 0, "prompt_tokens": 0}
    assert answer["meta"] == {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}


@pytest.mark.parametrize(
    "fields",
    [
        {"max_chunks_per_doc": 3},
        {"max_tokens_per_doc": 128},
        {"rank_fields": ["title"]},
        {"top_n": 0},
        {"documents": [{"image": "https://a/b.png"}]},
        {"documents": "a cake"},
        {"query": {"image": "x"}},
    ],
)
def test_what_would_be_another_order_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        asked(**fields)


@pytest.mark.parametrize("fields", [{"documents": []}, {"documents": ["a", ""]}, {"query": ""}])
def test_nothing_is_an_empty_input(fields: dict[str, Any]) -> None:
    with pytest.raises(EmptyInput):
        asked(**fields)


def test_an_error_is_read_by_both() -> None:
    body = b'{"error":"no reranker","error_type":"Backend"}'

    assert json.loads(RERANK_ERRORS.write(424, body)) == {"message": "no reranker", "detail": "no reranker"}
