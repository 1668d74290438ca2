"""Bodies of the embedder's routes: TEI's own strictness and TEI's own tolerance."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autobatch_embedder.bodies import reading as bodies
from autobatch_embedder.bodies.requests import EmbedRequest, Input, TokenizeRequest
from autobatch_embedder.errors import BodyError

SHAPE = "Failed to deserialize the JSON body into the target type: "
SYNTAX = "Failed to parse the request body as JSON: "


@pytest.mark.parametrize(
    ("inputs", "expected", "is_batch"),
    [
        (b'"a"', ("a",), False),
        (b"[1,4294967295]", ([1, 4294967295],), False),
        (b"[]", ([],), False),
        (b'["a"]', ("a",), True),
        (b'["a",[1,2],""]', ("a", [1, 2], ""), True),
        (b"[[1],[]]", ([1], []), True),
    ],
)
def test_inputs_take_texts_and_token_ids_alone_or_in_lists(
    inputs: bytes,
    expected: tuple[Input, ...],
    is_batch: bool,  # noqa: FBT001
) -> None:
    assert EmbedRequest(expected, is_batch) == bodies.embed(b'{"inputs":' + inputs + b"}")


@pytest.mark.parametrize(
    "inputs", [b"1", b"null", b"true", b"{}", b'[["a","b"]]', b'["a",1]', b"[1.5]", b"[-1]", b"[true]", b"[4294967296]"]
)
def test_inputs_of_another_shape_match_no_variant(inputs: bytes) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.embed(b'{"inputs":' + inputs + b"}")

    assert caught.value.status == 422
    assert caught.value.text.startswith(f"{SHAPE}inputs: data did not match any variant of untagged enum Input at line")


def test_every_option_is_read() -> None:
    body = (
        b'{"inputs":"a","truncate":false,"truncation_direction":"Left","prompt_name":"q","normalize":false,'
        b'"dimensions":12}'
    )

    expected = EmbedRequest(("a",), truncate=False, direction="left", prompt_name="q", normalize=False, dimensions=12)
    assert expected == bodies.embed(body)


def test_options_that_may_be_null_are_as_if_absent() -> None:
    body = b'{"inputs":"a","truncate":null,"prompt_name":null,"dimensions":null}'

    assert EmbedRequest(("a",)) == bodies.embed(body)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (b'"truncate":1', "truncate: invalid type: integer `1`, expected a boolean"),
        (b'"truncation_direction":"up"', "truncation_direction: unknown variant `up`, expected one of"),
        (b'"prompt_name":[]', "prompt_name: invalid type: sequence, expected a string"),
        (b'"normalize":null', "normalize: invalid type: null, expected a boolean"),
        (b'"normalize":"yes"', 'normalize: invalid type: string "yes", expected a boolean'),
        (b'"dimensions":-1', "dimensions: invalid value: integer `-1`, expected usize"),
        (b'"dimensions":1.5', "dimensions: invalid type: floating point `1.5`, expected usize"),
        (b'"dimensions":true', "dimensions: invalid type: boolean `true`, expected usize"),
    ],
)
def test_an_option_of_the_wrong_type_is_named(option: bytes, reason: str) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.embed(b'{"inputs":"a",' + option + b"}")

    assert caught.value.status == 422
    assert caught.value.text.startswith(SHAPE + reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", "missing field `inputs` at line 1 column 2"),
        (b'\n{"input":\n"a"}', "missing field `inputs` at line 3 column 4"),
        (b'"a"', 'invalid type: string "a", expected struct EmbedRequest at line 1 column 3'),
        (b"null", "invalid type: null, expected struct EmbedRequest at line 1 column 4"),
        (b'{"inputs":"a","inputs":"b"}', "duplicate field `inputs` at line 1 column 22"),
        (b'{"inputs":"a","normalize":true,"normalize":true}', "duplicate field `normalize` at line 1 column 42"),
        (b'["a"]', "invalid length 3, expected struct EmbedRequest with 6 elements at line 1 column 5"),
    ],
)
def test_a_body_of_the_wrong_shape_is_422_with_its_place(body: bytes, reason: str) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.embed(body)

    assert (422, SHAPE + reason) == (caught.value.status, caught.value.text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b'{"inputs":',
        b'{"inputs":"a"',
        b'{"inputs":NaN}',
        b'{"inputs":"a",}',
        b"{'inputs':'a'}",
        b'\xef\xbb\xbf{"inputs":"a"}',
        b'{"inputs":"\\ud800"}',
        b'{"inputs":"\xff"}',
        b'{"inputs":"a\nb"}',
        '{"inputs":"a"}'.encode("utf-16"),
        b'["a",null,"right",null,true,null,1]',
    ],
)
def test_text_that_is_not_json_is_400(body: bytes) -> None:
    with pytest.raises(BodyError) as caught:
        bodies.embed(body)

    assert caught.value.status == 400
    assert caught.value.text.startswith(SYNTAX)
    assert " at line " in caught.value.text


def test_an_empty_body_gets_the_text_of_serde() -> None:
    with pytest.raises(BodyError, match=r"EOF while parsing a value at line 1 column 0$"):
        bodies.embed(b"")


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":"a"} junk',
        b'{"inputs":"a"}{"inputs":"b"}',
        b'{"inputs":"a"}]',
        b'{"inputs":"a","other":1,"other":{"inputs":"b"}}',
        b'{"other":["inputs","inputs"],"inputs":"a"}',
        b'["a",null,"right",null,true,null]',
    ],
)
def test_what_tei_overlooks_is_overlooked(body: bytes) -> None:
    assert EmbedRequest(("a",)) == bodies.embed(body)


def test_a_text_that_quotes_a_key_is_no_repeated_key() -> None:
    text = 'say "inputs", then \\"inputs": [{"inputs"'

    assert (text, text) == bodies.embed(orjson.dumps({"inputs": [text, text]})).inputs


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@settings(max_examples=50)
@given(
    texts=st.lists(st.text(), min_size=1),
    others=st.dictionaries(st.text(min_size=12).map("other-".__add__), JSON, max_size=3),
    junk=st.binary(max_size=10),
)
def test_any_texts_arrive_whatever_surrounds_them(texts: list[str], others: dict[str, object], junk: bytes) -> None:
    body = orjson.dumps({**others, "inputs": texts, "others": others}) + junk

    assert EmbedRequest(tuple(texts), is_batch=True) == bodies.embed(body)


def test_tokenize_reads_its_options() -> None:
    expected = TokenizeRequest(("a", "b"), is_batch=True, add_special_tokens=False, prompt_name="q")

    assert expected == bodies.tokenize(b'{"inputs":["a","b"],"add_special_tokens":false,"prompt_name":"q"}')
    assert TokenizeRequest(("a",)) == bodies.tokenize(b'{"inputs":"a"}')
    assert TokenizeRequest((), is_batch=True) == bodies.tokenize(b'{"inputs":[]}')


@pytest.mark.parametrize("inputs", [b"[1]", b"1", b'["a",[1]]', b"null"])
def test_tokenize_takes_texts_only(inputs: bytes) -> None:
    with pytest.raises(BodyError, match="untagged enum TokenizeInput") as caught:
        bodies.tokenize(b'{"inputs":' + inputs + b"}")

    assert caught.value.status == 422
