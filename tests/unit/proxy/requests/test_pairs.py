"""TEI's own `/rerank` where the upstream is a re-ranker: its pairs share calls, and the answer is TEI's."""

import json
from typing import Any

import msgspec
import pytest

from autobatch_proxy.requests.plan import Plan
from autobatch_proxy.requests.planner import REPEATED_BYTES_MAX
from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.contract.options import Options
from tests.unit.planning import ALLOWED, RULES, body_of, plan_of

RERANKER = msgspec.structs.replace(ALLOWED, alias="/rerank")


def asked(path: str = "/rerank", **fields: Any) -> Plan:
    body = {"query": "q", "texts": ["a", "b", "c"], **fields}
    return plan_of(path, json.dumps(body).encode(), RULES, RERANKER)


def predicted(*scores: str) -> bytes:
    return b"[%b]" % b",".join([b'[{"score":%b,"label":"L"}]' % score.encode() for score in scores])


def test_the_pairs_of_a_query_may_share_calls() -> None:
    plan = asked(truncate=False, truncation_direction="Left", raw_scores=True)

    (job,) = plan.jobs
    assert (plan.route, job.kind, plan.alone) == ("/predict", "merge", None)
    assert json.loads(job.body) == [["q", "a"], ["q", "b"], ["q", "c"]]
    assert job.options == Options(truncate=False, truncation_direction="left", raw_scores=True)


def test_the_answer_is_in_teis_order_and_no_score_is_printed_anew() -> None:
    rows = predicted("1e-05", "0.99773600", "1e-05")

    assert body_of(asked(), rows) == (
        b'[{"index":1,"score":0.99773600},{"index":2,"score":1e-05},{"index":0,"score":1e-05}]'
    )


def test_texts_are_answered_where_they_are_asked_for() -> None:
    answer = json.loads(body_of(asked(return_text=True), predicted("0.1", "0.3", "0.2")))

    assert answer == [
        {"index": 1, "text": "b", "score": 0.3},
        {"index": 2, "text": "c", "score": 0.2},
        {"index": 0, "text": "a", "score": 0.1},
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"texts": []},
        {"texts": ["a", ""]},
        {"query": ""},
        {"query": "q" * (REPEATED_BYTES_MAX // 2)},
    ],
)
def test_what_the_upstream_may_refuse_or_would_cost_too_much_goes_on_as_it_came(fields: dict[str, Any]) -> None:
    plan = asked(**fields)

    assert plan.route == "/rerank"
    assert {job.kind for job in plan.jobs} == {"verbatim"}


@pytest.mark.parametrize("rows", [b'[[{"score":0.1},{"score":0.2}]]', b"[[]]", b'[[{"label":"L"}]]', b"[[0.5]]"])
def test_scores_of_a_classifier_are_no_ranks(rows: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        body_of(asked(), rows)
