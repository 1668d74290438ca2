"""Token ids that go to the upstream in a body that nobody here takes apart."""

import json
from typing import Any

import msgspec
import pytest

from autobatch_proxy.requests.alone import Alone
from autobatch_shared.contract.errors import InvalidRequest
from tests.unit.planning import ALLOWED, RULES, plan_of

FOREIGN = 99_999_999


def largest(path: str, body: Any) -> int | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    plan = plan_of(path, raw)
    assert [(job.kind, job.body) for job in plan.jobs] == [("verbatim", raw)]
    return plan.largest_id


@pytest.mark.parametrize("kind", [{}, {"type": "embed"}, {"type": "embed_all"}, {"type": "embed_sparse"}])
@pytest.mark.parametrize("inputs", [[FOREIGN], [[7], [FOREIGN, 8]], ["a", [FOREIGN]]])
def test_the_largest_id_of_all_instances_is_found(kind: Any, inputs: Any) -> None:
    body = {"instances": [{"inputs": "a"}, {**kind, "inputs": inputs}, {"inputs": [101, 102]}]}
    assert largest("/vertex", body) == FOREIGN


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[[FOREIGN], None, "right", None, True, None]]},
        [[{"inputs": [FOREIGN]}]],
        b'{"instances":[{"inputs":"a","inputs":[%d]}]}' % FOREIGN,
        b'{"instances":[{"\\u0069nputs":[ \n%d ]}]}' % FOREIGN,
        b'\n {"x":1,"instances" : [ 5, {"inputs":[%d]} ] }' % FOREIGN,
    ],
)
def test_it_is_found_in_each_form_that_the_upstream_takes(body: Any) -> None:
    assert largest("/vertex", body) == FOREIGN


@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/embed_sparse", "/v1/embeddings"])
def test_fields_by_their_position_have_ids_too(path: str) -> None:
    assert largest(path, [[FOREIGN], None, "right", None, True, None]) == FOREIGN


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"inputs": "a"}, {"inputs": ["a", "1, 2"], "dimensions": 384, "x": [FOREIGN]}]},
        {"instances": [{"inputs": [2**32]}, {"inputs": [-1]}, {"inputs": [1.5]}, {"inputs": ["a", FOREIGN]}]},
        {"instances": [{"query": "[1, 2", "texts": ["a, 5"]}]},
        {"instances": FOREIGN},
        {"inputs": [FOREIGN]},
        {"instances": []},
        b'{"instances":[{"inputs":[99999999]}] junk',
        b"\xff[1",
        b"",
        b"[" * 100_000 + b"1",
    ],
)
def test_what_has_none_that_is_computed_is_passed_on(body: Any) -> None:
    assert largest("/vertex", body) is None


def test_routes_without_ids_of_inputs_are_not_looked_at() -> None:
    assert largest("/rerank", {"query": "q", "texts": [FOREIGN]}) is None


def test_a_body_too_large_for_a_call_keeps_its_ids() -> None:
    allowed = msgspec.structs.replace(ALLOWED, request_bytes_max=100)
    plan = plan_of("/embed", b'{"inputs":[99999999]}'.ljust(101), allowed=allowed)
    assert (plan.alone, plan.largest_id) == (Alone.TOO_LARGE, FOREIGN)


def test_more_instances_than_inputs_are_refused() -> None:
    body = json.dumps({"instances": [{}] * (RULES.request_inputs_max + 1)}).encode()
    with pytest.raises(InvalidRequest, match="batch size 2049 > maximum allowed batch size 2048"):
        plan_of("/vertex", body)
