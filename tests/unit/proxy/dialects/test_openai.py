"""OpenAI's bodies: what they become, and what their answers are made of."""

import base64
import json
import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.dialects.openai import in_base64
from autobatch_proxy.requests.plan import Allowed, Plan, PlannedJob, Rules
from autobatch_shared.contract.errors import InvalidRequest, UpstreamProtocolError
from autobatch_shared.contract.options import Options
from tests.unit.planning import ALLOWED, JSON, RULES, body_of, plan_of

EXACT = Rules(msgspec.structs.replace(RULES.ruler, is_exact=lambda _characters: True), 2048, 2048)


def plan(body: bytes | dict[str, Any], rules: Rules = RULES, allowed: Allowed = ALLOWED) -> Plan:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return plan_of("/v1/embeddings", raw, rules, allowed)


def answer(planned: Plan, rows: bytes, tokens: int | None = None) -> Any:
    return json.loads(body_of(planned, rows, tokens))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("a", PlannedJob(1, "merge", b'["a"]', longest=1)),
        (["a"], PlannedJob(1, "merge", b'["a"]', longest=1)),
        (["a", "bcd"], PlannedJob(2, "merge", b'["a", "bcd"]', longest=3)),
        ([1, 2, 3], PlannedJob(1, "solo", b"[[1, 2, 3]]", longest=3)),
        ([[1, 2], [3]], PlannedJob(2, "solo", b"[[1, 2], [3]]", longest=2)),
        (["a", [1, 2]], PlannedJob(2, "solo", b'["a", [1, 2]]', longest=2)),
        (["a", ""], PlannedJob(2, "solo", b'["a", ""]', longest=1)),
    ],
)
def test_every_form_of_input_becomes_the_job_of_embed(inputs: object, expected: PlannedJob) -> None:
    """So both routes share calls."""
    planned = plan({"input": inputs, "model": "any", "user": "me", "encoding_format": "float"})

    assert (planned.jobs, planned.route) == ([expected], "/embed")
    assert planned.jobs == plan_of("/embed", json.dumps({"inputs": inputs}).encode()).jobs


def test_dimensions_are_the_only_option() -> None:
    assert plan({"input": "a", "dimensions": 7}).jobs[0].options == Options(dimensions=7)
    assert plan({"input": "a", "dimensions": None}).jobs[0].options is None
    embed = plan_of("/embed", b'{"inputs":"a","dimensions":7}')
    assert plan({"input": "a", "dimensions": 7}).jobs == embed.jobs


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b'{"inputs":"a"}',
        b'{"input":null}',
        b'{"input":1}',
        b'{"input":""}',
        b'{"input":[]}',
        b'{"input":[1,"a"]}',
        b'{"input":[["a"]]}',
        b'{"input":[-1]}',
        b'{"input":[4294967296]}',
        b'{"input":"a","model":1}',
        b'{"input":"a","user":[]}',
        b'{"input":"a","encoding_format":"int8"}',
        b'{"input":"a","dimensions":-1}',
        b'{"input":"a","dimensions":"7"}',
        b'{"input":"a","input":"b"}',
        b'{"input":"a","in\\u0070ut":"b"}',
        b'{"input":"\\ud800"}',
        b'{"input":"\xff"}',
        b'{"input":"a","x":} junk',
    ],
)
def test_what_is_not_plainly_a_request_is_the_upstreams_to_judge(body: bytes) -> None:
    planned = plan(body)

    assert planned.jobs == [PlannedJob(1, "verbatim", body, content_type=JSON)]
    assert (planned.route, planned.form, planned.largest_id) == ("/v1/embeddings", None, None)


def test_too_many_inputs_are_refused_in_teis_words() -> None:
    with pytest.raises(InvalidRequest, match=r"^batch size 3 > maximum allowed batch size 2$"):
        plan({"input": ["a", "b", "c"]}, Rules(RULES.ruler, 2, 2048))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [("a", None), (["a"], None), ([3, 9, 2], 9), ([[3], [8, 1], []], 8), (["a", [5]], 5), ([[], []], None)],
)
def test_the_largest_id_is_known(inputs: object, expected: int | None) -> None:
    assert plan({"input": inputs}).largest_id == expected


def test_an_answer_has_teis_keys_in_teis_order_and_the_upstreams_floats() -> None:
    planned = plan({"input": ["a", "b"], "model": "asked"})

    body = body_of(planned, b"[[1.50,2e-7],[0.10,-3]]", 9)

    assert body == (
        b'{"id":"embd-id","object":"list","data":[{"object":"embedding","embedding":[1.50,2e-7],"index":0},'
        b'{"object":"embedding","embedding":[0.10,-3],"index":1}],"model":"the-model",'
        b'"usage":{"prompt_tokens":9,"total_tokens":9}}'
    )


def test_a_models_name_cannot_break_the_json() -> None:
    planned = plan({"input": "a"}, allowed=msgspec.structs.replace(ALLOWED, served_model='a"b\\c\né'))
    assert answer(planned, b"[[1]]")["model"] == 'a"b\\c\né'


def usage(planned: Plan, tokens: int | None) -> object:
    return answer(planned, b"[[1]]", tokens)["usage"]["total_tokens"]


def test_usage_is_what_was_counted_here_where_that_is_exact() -> None:
    planned = plan({"input": ["abc", "de"]}, EXACT)

    assert planned.are_counted is False
    assert usage(planned, None) == usage(planned, 99) == 5


@pytest.mark.parametrize("inputs", ["a" * 50, ["a" * 50, "b"], ["a" * 50, ""]])
def test_what_is_cut_off_is_not_in_the_usage(inputs: object) -> None:
    """Also of inputs that travel alone."""
    planned = plan({"input": inputs}, EXACT, msgspec.structs.replace(ALLOWED, length_max=10))

    assert usage(planned, None) == 10 + isinstance(inputs, list) * (len(inputs[1]) if isinstance(inputs, list) else 0)


def test_usage_is_what_the_upstream_counted_elsewhere_and_else_0() -> None:
    planned = plan({"input": "abc"})

    assert planned.are_counted is True
    assert (usage(planned, 4), usage(planned, None)) == (4, 0)


def test_ids_are_counted_by_the_upstream_though_texts_are_counted_here() -> None:
    """It decodes them, and encodes the text anew."""
    assert plan({"input": [[1, 2]]}, EXACT).are_counted is True


def test_a_text_that_the_upstream_will_not_tokenize_is_counted_alone() -> None:
    allowed = msgspec.structs.replace(ALLOWED, countable_characters_max=5)

    assert [plan({"input": each}, allowed=allowed).jobs[0].kind for each in ("a" * 5, "a" * 6, ["b", "a" * 6])] == [
        "merge",
        "solo",
        "solo",
    ]


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS | st.none(), min_size=1, max_size=8))
def test_base64_is_little_endian_float32(numbers: list[float | None]) -> None:
    packed = base64.b64decode(json.loads(in_base64(json.dumps(numbers).encode())), validate=True)

    found = struct.unpack(f"<{len(numbers)}f", packed)
    for number, back in zip(numbers, found, strict=True):
        assert math.isnan(back) if number is None else struct.pack("<f", number) == struct.pack("<f", back)


@given(st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_rows_in_base64_are_the_rows_in_floats(rows: list[list[float]]) -> None:
    raw = json.dumps(rows).encode()
    inputs = [str(place) for place in range(len(rows))]

    as_floats, as_base64 = (
        answer(plan({"input": inputs, "encoding_format": form}), raw)["data"] for form in ("float", "base64")
    )

    for one, other in zip(as_floats, as_base64, strict=True):
        assert struct.pack("<3f", *one["embedding"]) == base64.b64decode(other["embedding"])
        assert one["index"] == other["index"]


@pytest.mark.parametrize(
    "row", [b"null", b"1", b'"abc"', b"{}x", b'{"a":1}', b"[[1]]", b'["1"]', b"[1e999]", b"[nul]", b""]
)
def test_a_row_that_is_none_is_the_upstreams_fault(row: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        in_base64(row)


def test_a_number_beyond_float32_is_infinite() -> None:
    assert struct.unpack("<f", base64.b64decode(in_base64(b"[1e300]"))) == (math.inf,)


@given(st.text(max_size=6), st.sampled_from(["model", "user"]))
def test_a_field_may_say_anything(value: str, name: str) -> None:
    """What it says can at most send the request another way."""
    planned = plan({"input": "inputs", name: value})
    assert planned.jobs[0].kind in ("merge", "verbatim")
    if planned.jobs[0].kind == "merge":
        assert planned.jobs[0].body == b'["inputs"]'
