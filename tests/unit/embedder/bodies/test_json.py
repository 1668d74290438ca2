"""The embedder's answers to invalid bodies: status, message and column of a real text-embeddings-inference 1.9.3."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_embedder.bodies import reading as bodies
from autobatch_embedder.bodies import structs
from autobatch_embedder.bodies.json_body import ODD, in_full, plain
from autobatch_embedder.bodies.json_reader import JsonReader
from autobatch_embedder.errors import BodyError

HEADS = {
    400: "Failed to parse the request body as JSON: ",
    422: "Failed to deserialize the JSON body into the target type: ",
}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b'{"inputs":[-0]}', 422, "inputs: data did not match any variant of untagged enum Input at line 1 column 15"),
        (b'{"inputs":[01]}', 400, "inputs[0]: invalid number at line 1 column 13"),
        (b'{"inputs":[1e999]}', 400, "inputs[0]: number out of range at line 1 column 16"),
        (rb'{"inputs":"\ud83d"}', 400, "inputs: unexpected end of hex escape at line 1 column 18"),
        (rb'{"inputs":"a\ude00b"}', 400, "inputs: lone leading surrogate in hex escape at line 1 column 18"),
        (rb'{"inputs":"\x41"}', 400, "inputs: invalid escape at line 1 column 13"),
        (rb'{"inputs":"\u00e}', 400, "inputs: invalid escape at line 1 column 17"),
        (b'{"inputs":"\xff\xfe"}', 400, "inputs: invalid unicode code point at line 1 column 14"),
        (
            b'{"inputs":"a\nb"}',
            400,
            "inputs: control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
        ),
        (b'{"inputs":["a",', 400, "inputs: EOF while parsing a value at line 1 column 15"),
        (b'{"inputs" "a"}', 400, "expected `:` at line 1 column 11"),
        (b'{"inputs":["a" "b"]}', 400, "inputs: expected `,` or `]` at line 1 column 16"),
        (b'{"inputs":["a",]}', 400, "inputs: trailing comma at line 1 column 16"),
        (b'{"inputs":"a","inputs":"b"}', 422, "duplicate field `inputs` at line 1 column 22"),
        (
            b'{"inputs":"hello world","truncate":1}',
            422,
            "truncate: invalid type: integer `1`, expected a boolean at line 1 column 36",
        ),
        (
            b'{"inputs":"hello world","truncate":[]}',
            422,
            "truncate: invalid type: sequence, expected a boolean at line 1 column 35",
        ),
        (
            b'{"inputs":"hello world","truncation_direction":null}',
            400,
            "truncation_direction: expected value at line 1 column 48",
        ),
        (
            b'{"inputs":"hello world","truncation_direction":{}}',
            400,
            "truncation_direction: expected value at line 1 column 49",
        ),
        (
            b'{"inputs":"hello world","truncation_direction":{"left":1}}',
            422,
            "truncation_direction.left: invalid type: integer `1`, expected unit at line 1 column 56",
        ),
        (
            b'{"inputs":"hello world","dimensions":18446744073709551616}',
            422,
            "dimensions: invalid type: floating point `1.8446744073709552e19`, expected usize at line 1 column 57",
        ),
        (b'["hello",null,"right",null,true,null,1]', 400, "trailing characters at line 1 column 38"),
        (b'{"inputs":"a","":[01]}', 400, ": invalid number at line 1 column 20"),
    ],
)
def test_a_body_that_does_not_fit_gets_the_words_and_the_column_of_the_real_one(
    body: bytes, status: int, text: str
) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.embed(body)

    assert (status, HEADS[status] + text) == (caught.value.status, caught.value.text)


def test_a_variant_may_be_an_object() -> None:
    assert bodies.embed(b'{"inputs":"a","truncation_direction":{"left":null}}').direction == "left"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON, indent=st.sampled_from([None, 1]), is_ascii=st.booleans())
def test_what_is_json_is_read_as_by_any_other_reader(value: Any, indent: int | None, is_ascii: bool) -> None:  # noqa: FBT001
    body = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    if b"Infinity" in body or b"\\ud" in body.lower() or b"\xed" in body:
        return

    assert value == JsonReader(body).anything()
    whole = JsonReader(b"[%b,1]" % body)
    whole.index = 1
    whole.skip()
    assert whole.index == len(body) + 1


@given(inputs=st.lists(st.text(max_size=5) | st.lists(st.integers(0, 2**32 - 1), max_size=2), max_size=3))
def test_both_readers_see_the_same(inputs: list[Any]) -> None:
    body = json.dumps({"inputs": inputs, "x": [inputs], "truncate": None}, ensure_ascii=False).encode()
    quick = plain(body, structs.EMBED)

    full = in_full(body, structs.EMBED)

    assert quick is ODD or {key: quick[key] for key in full} == full
