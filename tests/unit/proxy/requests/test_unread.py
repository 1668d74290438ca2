"""What is not taken apart here is refused for the same reasons as everything else."""

import json
from typing import Any

import msgspec
import pytest

from autobatch_proxy.dialects.model_check import ModelCheck
from autobatch_proxy.dialects.openai import read_openai
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.token_ids import make_text_of_ids
from autobatch_shared.contract.errors import ForeignTokenIds, InvalidRequest, UnknownModel
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
        b'{"instances":[{"inputs":[%d]}]} junk' % FOREIGN,
        b'{"instances":[{"inputs":[%d]}],"x":"\\ud800"}}' % FOREIGN,
        b'{"x":%b,"instances":[{"inputs":[%d]}]}' % (b"[" * 3000 + b"]" * 3000, FOREIGN),
        b'[[{"inputs":[%d]}]] junk' % FOREIGN,
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
        b'{"instances":[{"inputs":[99999999]},]} junk',
        b"\xff[1",
        b"",
        b"[" * 100_000 + b"1",
    ],
)
def test_what_has_none_that_is_computed_is_passed_on(body: Any) -> None:
    assert largest("/vertex", body) is None


#: Ways to write fields so that only TEI reads them, each with the bytes after it.
ODD = {
    "by position": b'[%b,"m",null,"float",null]',
    "by position, with more after it": b'[%b,"m",null,"float",null] x',
    "an option as a variant": b'{"input":%b,"model":"m","encoding_format":{"float":null}}',
    "and more after it": b'{"input":%b,"model":"m","encoding_format":{"float":null}}}',
    "and a lone surrogate": b'{"x":"\\ud800","in\\u0070ut":%b,"model":"m","encoding_format":{"float":null}}',
    "and nested deep": b'{"input":%%b,"model":"m","encoding_format":{"float":null},"x":%b}'
    % (b"[" * 3000 + b"]" * 3000),
}
ODD_TEI = {
    name: body.replace(b'"m",null,"float",null', b'null,"right",null,true,null')
    .replace(b"input", b"inputs")
    .replace(b"\\u0070ut", b"\\u0070uts")
    .replace(b'"encoding_format":{"float":null}', b'"truncation_direction":{"Left":null}')
    for name, body in ODD.items()
}


@pytest.mark.parametrize("body", ODD_TEI.values(), ids=ODD_TEI)
@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/embed_sparse"])
def test_ids_are_found_in_every_spelling_that_tei_takes(path: str, body: bytes) -> None:
    assert largest(path, body % b"[[7],[%d]]" % FOREIGN) == FOREIGN
    assert largest(path, body % b'["a",[%d]]' % FOREIGN) == FOREIGN
    assert largest(path, body % b'"[99999999]"') is None


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
@pytest.mark.parametrize("whose", ["refuse", "cl100k"])
def test_openais_ids_are_refused_in_every_spelling(body: bytes, whose: str) -> None:
    """They cannot be replaced by their texts either."""
    text_of_ids = make_text_of_ids("refuse", None) if whose == "refuse" else lambda _ids: "text"
    rules = msgspec.structs.replace(RULES, text_of_ids=text_of_ids)
    for path in ("/v1/embeddings", "/embeddings"):
        with pytest.raises(ForeignTokenIds, match="check_embedding_ctx_length=False"):
            plan_of(path, body % b"[7]", rules)
        assert plan_of(path, body % b'"a"', rules).alone is Alone.FIELDS
        assert plan_of(path, body % b"[7]").largest_id == 7


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_the_model_is_checked_in_every_spelling(body: bytes) -> None:
    asked = body % b'"a"'
    ModelCheck(()).check(read_openai(asked), asked, "org/m")
    with pytest.raises(UnknownModel, match="`m`"):
        ModelCheck(()).check(read_openai(asked), asked, "other")


@pytest.mark.parametrize("body", [*ODD_TEI.values(), b'{"inputs":%b} x'], ids=[*ODD_TEI, "only more after it"])
def test_inputs_are_counted_in_every_spelling(body: bytes) -> None:
    rules = msgspec.structs.replace(RULES, request_inputs_max=2)
    for inputs in (b'["a","b","c"]', b"[[1],[2],[3]]"):
        with pytest.raises(InvalidRequest, match="batch size 3 > maximum allowed batch size 2"):
            plan_of("/embed", body % inputs, rules)
    for inputs in (b'["a","b"]', b"[1,2,3]", b'"abc"'):
        assert len(plan_of("/embed", body % inputs, rules).jobs) == 1


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


@pytest.mark.parametrize("behind", [b"", b" x"])
def test_the_inputs_of_all_instances_count(behind: bytes) -> None:
    most = RULES.request_inputs_max
    few, many = ({"instances": [{"inputs": ["a"] * inputs}, {"inputs": "b"}, {}]} for inputs in (most - 2, most - 1))

    plan_of("/vertex", json.dumps(few).encode())
    with pytest.raises(InvalidRequest, match=f"batch size {most + 1} > maximum allowed batch size {most}"):
        plan_of("/vertex", json.dumps(many).encode() + behind)
