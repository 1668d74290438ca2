"""Bodies of the routes other than /embed and /tokenize, with TEI's messages for invalid ones."""

import orjson
import pytest

from autobatch_embedder.bodies import reading as bodies
from autobatch_embedder.bodies.requests import DecodeRequest, EmbedRequest, OpenAiRequest, PredictRequest, RerankRequest
from autobatch_embedder.errors import BodyError, TeiError

SHAPE = "Failed to deserialize the JSON body into the target type: "
SYNTAX = "Failed to parse the request body as JSON: "


def refusal(route: str, body: object) -> str:
    """The text of the 422 for a body, without its prefix and its position."""
    with pytest.raises(BodyError) as caught:
        getattr(bodies, route)(body if isinstance(body, bytes) else orjson.dumps(body))
    assert caught.value.status == 422
    reason, at, _ = caught.value.text.removeprefix(SHAPE).partition(" at line ")
    assert at
    return reason


@pytest.mark.parametrize("read", [bodies.embed_all, bodies.embed_sparse])
def test_unpooled_routes_have_embeds_options_but_the_last_two(read: object) -> None:
    """Keys that a route does not know may be anything, even of the wrong type."""
    assert callable(read)
    body = {"inputs": ["a", [1]], "truncate": False, "truncation_direction": "left", "prompt_name": "q"}

    expected = EmbedRequest(("a", [1]), is_batch=True, truncate=False, direction="left", prompt_name="q")
    assert expected == read(orjson.dumps(body | {"normalize": 1, "dimensions": -1}))
    assert EmbedRequest(("a",)) == read(b'["a",null,"right",null]')


def test_openai_options_are_read_and_the_ignored_ones_checked() -> None:
    body = {"input": ["a"], "model": "any", "user": None, "encoding_format": "base64", "dimensions": 3, "x": 1}

    assert OpenAiRequest(EmbedRequest(("a",), is_batch=True, dimensions=3), is_base64=True) == bodies.openai(
        orjson.dumps(body)
    )
    assert OpenAiRequest(EmbedRequest(([1],))) == bodies.openai(b'{"input":[1],"encoding_format":"float"}')


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"inputs": "a"}, "missing field `input`"),
        ({"input": [["a"]]}, "input: data did not match any variant of untagged enum Input"),
        ({"input": "a", "model": 1}, "model: invalid type: integer `1`, expected a string"),
        ({"input": "a", "user": []}, "user: invalid type: sequence, expected a string"),
        (
            {"input": "a", "encoding_format": "Float"},
            "encoding_format: unknown variant `Float`, expected `float` or `base64`",
        ),
        ({"input": "a", "dimensions": -1}, "dimensions: invalid value: integer `-1`, expected usize"),
        (["a", None], "invalid length 2, expected struct OpenAICompatRequest with 5 elements"),
    ],
)
def test_openai_bodies_that_do_not_fit(body: object, reason: str) -> None:
    assert reason == refusal("openai", body)


def test_similarity_asks_for_vectors_as_they_are_pooled() -> None:
    inputs = {"source_sentence": "a", "sentences": ["b", "c"]}
    parameters = {"truncate": True, "truncation_direction": "Left", "prompt_name": "q"}
    plain = EmbedRequest(("a", "b", "c"), is_batch=True, normalize=False)

    assert plain == bodies.similarity(orjson.dumps({"inputs": inputs}))
    assert plain == bodies.similarity(orjson.dumps({"inputs": inputs, "parameters": None}))
    assert plain == bodies.similarity(b'[["a",["b","c"]],null]')
    assert EmbedRequest(
        plain.inputs, is_batch=True, truncate=True, direction="left", prompt_name="q", normalize=False
    ) == bodies.similarity(orjson.dumps({"inputs": inputs, "parameters": parameters}))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "missing field `inputs`"),
        ({"inputs": "a"}, 'inputs: invalid type: string "a", expected struct SimilarityInput'),
        ({"inputs": {"source_sentence": "a"}}, "inputs: missing field `sentences`"),
        (
            {"inputs": {"source_sentence": "a", "sentences": "b"}},
            'inputs.sentences: invalid type: string "b", expected a sequence',
        ),
        (
            {"inputs": {"source_sentence": "a", "sentences": ["b", 1]}},
            "inputs.sentences[1]: invalid type: integer `1`, expected a string",
        ),
        (
            {"inputs": {"source_sentence": "a", "sentences": []}, "parameters": {"truncate": 1}},
            "parameters.truncate: invalid type: integer `1`, expected a boolean",
        ),
        (
            b'{"inputs":{"source_sentence":"a","sentences":["b"],"sentences":["c"]}}',
            "inputs: duplicate field `sentences`",
        ),
        (b'{"inputs":{"source_sentence":"a","sentences":["b"]},"inputs":{}}', "duplicate field `inputs`"),
    ],
)
def test_similarity_bodies_that_do_not_fit(body: object, reason: str) -> None:
    assert reason == refusal("similarity", body)


def test_a_key_repeated_elsewhere_is_no_repeated_field() -> None:
    body = b'{"x":[{"inputs":1,"inputs":2}],"inputs":{"source_sentence":"a","sentences":["b"],"inputs":1}}'

    assert bodies.similarity(body).inputs == ("a", "b")


def test_decode_takes_one_list_of_ids_or_several() -> None:
    assert DecodeRequest(([1, 2],)) == bodies.decode(b'{"ids":[1,2]}')
    assert DecodeRequest(([],)) == bodies.decode(b'{"ids":[]}')
    assert DecodeRequest(([1], []), is_batch=True, skip_special_tokens=False) == bodies.decode(
        b'{"ids":[[1],[]],"skip_special_tokens":false}'
    )


@pytest.mark.parametrize("ids", [1, "a", [-1], [[1], 2], [["a"]], None])
def test_decode_takes_nothing_else(ids: object) -> None:
    assert refusal("decode", {"ids": ids}) == "ids: data did not match any variant of untagged enum InputIds"


@pytest.mark.parametrize(
    ("inputs", "expected", "is_batch"),
    [
        ("a", (("a",),), False),
        (["a"], (("a",),), False),
        (["a", "b"], (("a", "b"),), False),
        ([["a"], ["b", "c"]], (("a",), ("b", "c")), True),
    ],
)
def test_predict_takes_texts_and_pairs(
    inputs: object,
    expected: tuple[tuple[str, ...], ...],
    is_batch: bool,  # noqa: FBT001
) -> None:
    assert PredictRequest(expected, is_batch) == bodies.predict(orjson.dumps({"inputs": inputs, "truncate": None}))


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (1, "inputs: invalid type: integer `1`, expected a string, a pair of strings"),
        ([], "inputs: invalid length 0, expected a string, a pair of strings"),
        ([1], "inputs[0]: data did not match any variant of untagged enum Internal"),
        (["a", 1], "inputs[1]: invalid type: integer `1`, expected a string"),
        (["a", "b", "c", "d"], "inputs: invalid length 3, expected a string, a pair of strings"),
        ([[]], "inputs: invalid length 0, expected a string, a pair of strings"),
        ([["a"], ["a", "b", "c"]], "inputs: invalid length 3, expected a string, a pair of strings"),
        ([["a"], "b"], 'inputs[1]: invalid type: string "b", expected a sequence'),
        ([["a"], [1]], "inputs[1][0]: invalid type: integer `1`, expected a string"),
    ],
)
def test_predict_takes_nothing_else(inputs: object, reason: str) -> None:
    assert refusal("predict", {"inputs": inputs}).startswith(reason)


@pytest.mark.parametrize(
    ("route", "body", "reason"),
    [
        ("predict", {"inputs": "a", "raw_scores": None}, "raw_scores: invalid type: null, expected a boolean"),
        ("rerank", {"texts": []}, "missing field `query`"),
        ("rerank", {"query": "q"}, "missing field `texts`"),
        ("rerank", {"query": "q", "texts": "t"}, 'texts: invalid type: string "t", expected a sequence'),
        ("rerank", {"query": "q", "texts": [1]}, "texts[0]: invalid type: integer `1`, expected a string"),
        ("rerank", {"query": "q", "texts": [], "return_text": 1}, "return_text: invalid type: integer `1`, expected"),
        ("rerank", ["q"], "invalid length 1, expected struct RerankRequest with 6 elements"),
        ("vertex", {}, "missing field `instances`"),
        ("vertex", {"instances": {}}, "instances: invalid type: map, expected a sequence"),
        ("vertex", [], "invalid length 0, expected struct VertexRequest with 1 element"),
    ],
)
def test_bodies_of_other_routes_that_do_not_fit(route: str, body: object, reason: str) -> None:
    assert refusal(route, body).startswith(reason)


def test_rerank_may_be_a_short_array_because_its_options_have_defaults() -> None:
    assert RerankRequest("q", ("t",)) == bodies.rerank(b'["q",["t"]]')


def test_too_long_an_array_is_a_fault_of_syntax() -> None:
    with pytest.raises(BodyError) as caught:
        bodies.vertex(b"[[],1]")

    assert (400, f"{SYNTAX}trailing characters at line 1 column 5") == (caught.value.status, caught.value.text)


def test_an_instance_is_a_ranking_if_it_can_be_and_else_a_request_for_vectors() -> None:
    ranking = {"query": "q", "texts": ["t"]}
    instances = [ranking, {"inputs": ["a"]}, ["q", ["t"]], {**ranking, "raw_scores": 1, "inputs": "b"}]

    assert [
        RerankRequest("q", ("t",)),
        EmbedRequest(("a",), is_batch=True),
        RerankRequest("q", ("t",)),
        EmbedRequest(("b",)),
    ] == bodies.vertex(orjson.dumps({"instances": instances}))
    assert bodies.vertex(b'{"instances":[]}') == []


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"query": "q"}, "missing field `inputs`"),
        ({"inputs": 1}, "data did not match any variant of untagged enum Input"),
        ({"inputs": "a", "normalize": None}, "invalid type: null, expected a boolean"),
        ("a", 'invalid type: string "a", expected struct EmbedRequest'),
        ([1] * 7, "data did not match any variant of untagged enum Input"),
        (["a", None, "left", None, True, None, 7], "invalid length 7, expected fewer elements in array"),
    ],
)
def test_an_instance_that_is_neither_is_teis_own_error(instance: object, message: str) -> None:
    with pytest.raises(TeiError) as caught:
        bodies.vertex(orjson.dumps({"instances": [{"inputs": ""}, instance]}))

    assert ("Validation", message) == (caught.value.error_type, caught.value.message)
