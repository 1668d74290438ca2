"""The embedder's routes beside /embed and /tokenize, and the refusals of all, over HTTP and with the real model."""

from base64 import b64decode
from typing import Any

import numpy as np
import orjson
import pytest

from autobatch_embedder.app import serving
from autobatch_embedder.model.loaded_model import Model
from tests.support.servers.embedder_server import JSON, PAYLOAD_LIMIT, Send, ask, embed, sender, settings

INVALID = "Input validation error: "
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
NO_PROMPTS = (
    f"{INVALID}`default-prompt-name` is set to `q` but no prompts were found in the Sentence Transformers configuration"
)
TEXTS = ["hello world", "a", "many more words than the others have, so that all of them are padded to its length"]
TOO_MANY = "batch size 33 > maximum allowed batch size 32"
NO_CLASSIFIER = "Backend error: Model is not a classifier model"
NO_RERANKER = "Backend error: model is not a re-ranker model"
NO_SPLADE = "Backend error: Model is not an embedding model with SPLADE pooling"
TIMES = {"x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"}
BODIES: dict[str, Any] = {
    "/embed": {"inputs": "a"},
    "/embed_all": {"inputs": "a"},
    "/embed_sparse": {"inputs": "a"},
    "/v1/embeddings": {"input": "a"},
    "/embeddings": {"input": "a"},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    "/predict": {"inputs": "a"},
    "/rerank": {"query": "q", "texts": ["t"]},
    "/vertex": {"instances": [{"inputs": "a"}]},
    "/tokenize": {"inputs": "a"},
    "/decode": {"ids": [1]},
    "/": {"inputs": "a"},
    "/invocations": {"inputs": "a"},
}
"""Every path that takes a POST, with a body that it understands."""


async def test_embed_all_gives_the_vectors_whose_mean_embed_gives(send: Send) -> None:
    inputs = [*TEXTS, [101, 7592, 2088, 102]]

    everything = [np.array(tokens) for tokens in await ask(send, "/embed_all", {"inputs": inputs})]

    counts = [len(tokens) for tokens in await ask(send, "/tokenize", {"inputs": TEXTS})]
    assert [(count, 384) for count in [*counts, 4]] == [tokens.shape for tokens in everything]
    means = np.array([tokens.mean(axis=0) for tokens in everything])
    np.testing.assert_allclose(means, await embed(send, inputs, normalize=False), atol=1e-5)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(means, await embed(send, inputs), atol=1e-5)


async def test_ids_outside_the_vocabulary_have_no_vector(send: Send) -> None:
    ids, more = [99_999_999], [30_522, 4_294_967_295]

    assert await ask(send, "/embed_all", {"inputs": ids}) == [[]]
    assert await ask(send, "/embed_all", {"inputs": [ids, more]}) == [[], []]
    shapes = [len(row) for row in await ask(send, "/embed_all", {"inputs": [ids, "hello", more, [*ids, 7592]]})]
    assert shapes == [0, 3, 0, 1]
    status, _, body = await send("POST", "/embed", {"inputs": ["hello", ids]})
    assert (status, b"the input has no tokens" in body) == (424, True)
    assert await ask(send, "/embed_all", {"inputs": [ids]}) == [[]]


async def test_embed_all_takes_truncation_and_one_text(send: Send) -> None:
    words = " ".join(["alpha"] * 254 + ["omega"] * 254)

    (right,) = await ask(send, "/embed_all", {"inputs": words, "truncation_direction": "right"})
    (left,) = await ask(send, "/embed_all", {"inputs": [words], "truncation_direction": "left", "truncate": True})

    assert (256, 256) == (len(right), len(left))
    assert np.abs(np.array(right) - np.array(left)).max() > 0.1


async def test_similarity_is_the_cosine_of_embeds_vectors(send: Send) -> None:
    source, *others = vectors = await embed(send, TEXTS)

    body = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}, "parameters": {"truncate": False}}

    assert len(vectors) == 1 + len(others)
    np.testing.assert_allclose(await ask(send, "/similarity", body), [source @ other for other in others], atol=1e-6)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
async def test_openai_answers_with_embeds_vectors_and_exact_usage(send: Send, path: str) -> None:
    inputs = ["hello world", [7592, 2088]]
    body = {"input": inputs, "model": "whatever", "user": "me", "encoding_format": "float"}

    answer = await ask(send, path, body)

    assert ["object", "data", "model", "usage"] == list(answer)
    assert [["object", "embedding", "index"]] * 2 == [list(item) for item in answer["data"]]
    assert [("embedding", 0), ("embedding", 1)] == [(item["object"], item["index"]) for item in answer["data"]]
    assert ("list", MODEL, {"prompt_tokens": 6, "total_tokens": 6}) == (
        answer["object"],
        answer["model"],
        answer["usage"],
    )
    assert (await embed(send, inputs)).tolist() == [item["embedding"] for item in answer["data"]]


async def test_openai_base64_holds_the_same_floats(send: Send) -> None:
    for options in ({}, {"dimensions": 8}):
        answer = await ask(send, "/v1/embeddings", {"input": "hello world", "encoding_format": "base64", **options})

        decoded = np.frombuffer(b64decode(answer["data"][0]["embedding"], validate=True), "<f4")
        np.testing.assert_array_equal((await embed(send, "hello world", **options))[0].astype(np.float32), decoded)
        assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


async def test_openai_truncates_as_the_server_is_set(model: Model, send: Send, client: Any) -> None:
    long = {"input": "a " * 300}

    assert (await ask(send, "/v1/embeddings", long))["usage"]["prompt_tokens"] == 256
    async with serving(settings(embedder_auto_truncate=False), model) as port:
        status, _, body = await sender(client, port)("POST", "/v1/embeddings", long)
    text = f"{INVALID}`inputs` must have less than 256 tokens. Given: 302"
    assert (422, {"message": text, "code": 422, "type": "Validation"}) == (status, orjson.loads(body))


async def test_decode_gives_texts(send: Send) -> None:
    ids = [101, 7592, 2088, 102]

    assert await ask(send, "/decode", {"ids": ids}) == ["hello world"]
    assert await ask(send, "/decode", {"ids": [ids, [999999]], "skip_special_tokens": False}) == [
        "[CLS] hello world [SEP]",
        "",
    ]


async def test_vertex_answers_instances_in_order_each_with_its_own_options(send: Send) -> None:
    instances = [{"inputs": "hello world", "dimensions": 3}, {"inputs": ["a", "b"], "normalize": False}]

    status, headers, body = await send("POST", "/vertex", {"instances": instances})

    embedded = [(await send("POST", "/embed", instance))[2] for instance in instances]
    assert (200, b'{"predictions":[%b,%b]}' % (embedded[0], embedded[1])) == (status, body)
    assert not [name for name in headers if name.startswith("x-")]
    assert (await send("POST", "/vertex", {"instances": []}))[2] == b'{"predictions":[]}'


@pytest.mark.parametrize(
    ("instances", "status", "error_type", "message"),
    [
        ([{"inputs": "a"}, {"inputs": ""}], 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ([{"inputs": ["a"] * 33}, {"inputs": ""}], 422, "Validation", TOO_MANY),
        ([{"inputs": "a"}, {"query": "q", "texts": ["t"]}], 424, "Backend", NO_RERANKER),
        ([{"query": "q", "texts": []}], 400, "Empty", "`texts` cannot be empty"),
        ([{"inputs": ""}, {}], 422, "Validation", "missing field `inputs`"),
    ],
)
async def test_the_first_instance_that_fails_fails_the_call(
    send: Send, instances: Any, status: int, error_type: str, message: str
) -> None:
    """An invalid instance is reported first: nothing was run yet."""
    got_status, _, body = await send("POST", "/vertex", {"instances": instances})

    assert (status, {"error": message, "error_type": error_type}) == (got_status, orjson.loads(body))


@pytest.mark.parametrize(
    ("path", "body", "status", "error_type", "message"),
    [
        ("/embed", {"inputs": ""}, 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ("/embed", {"inputs": []}, 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ("/embed", {"inputs": ["a", ""]}, 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ("/embed", {"inputs": ["a"] * 33}, 422, "Validation", TOO_MANY),
        (
            "/embed",
            {"inputs": "a " * 255, "truncate": False},
            422,
            "Validation",
            f"{INVALID}`inputs` must have less than 256 tokens. Given: 257",
        ),
        (
            "/embed",
            {"inputs": "a" * 64_001, "truncate": False},
            422,
            "Validation",
            f"{INVALID}`inputs` must have less than 64000 characters. Given: 64001",
        ),
        (
            "/embed",
            {"inputs": "a", "prompt_name": "q"},
            422,
            "Validation",
            NO_PROMPTS,
        ),
        ("/embed", {"inputs": "", "dimensions": 0}, 422, "Validation", f"{INVALID}`dimensions` should be positive"),
        (
            "/embed",
            {"inputs": ["a", ""], "dimensions": 385},
            422,
            "Validation",
            f"{INVALID}`dimensions` should be smaller than the maximum embedding dimension.",
        ),
        (
            "/embed",
            {"inputs": ["", "a"], "dimensions": 385},
            400,
            "Empty",
            f"{INVALID}`inputs` cannot be empty",
        ),
        ("/tokenize", {"inputs": []}, 400, "Empty", "`inputs` cannot be empty"),
        ("/tokenize", {"inputs": ["a", ""]}, 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ("/tokenize", {"inputs": ["a"] * 33}, 422, "Validation", TOO_MANY),
        (
            "/tokenize",
            {"inputs": "a" * 64_001},
            422,
            "Validation",
            f"{INVALID}`inputs` must have less than 64000 characters. Given: 64001",
        ),
        ("/embed_all", {"inputs": []}, 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ("/embed_all", {"inputs": ["a"] * 33}, 422, "Validation", TOO_MANY),
        ("/embed_all", {"inputs": "a", "prompt_name": "q"}, 422, "Validation", NO_PROMPTS),
        (
            "/embed_all",
            {"inputs": "a " * 255, "truncate": False},
            422,
            "Validation",
            f"{INVALID}`inputs` must have less than 256 tokens. Given: 257",
        ),
        (
            "/similarity",
            {"inputs": {"source_sentence": "", "sentences": []}},
            400,
            "Empty",
            "`inputs.sentences` cannot be empty",
        ),
        (
            "/similarity",
            {"inputs": {"source_sentence": "a", "sentences": ["a"] * 32}},
            422,
            "Validation",
            TOO_MANY,
        ),
        (
            "/similarity",
            {"inputs": {"source_sentence": "a", "sentences": ["a", ""]}},
            400,
            "Empty",
            f"{INVALID}`inputs` cannot be empty",
        ),
        (
            "/similarity",
            {"inputs": {"source_sentence": "a", "sentences": ["a"]}, "parameters": {"prompt_name": "q"}},
            422,
            "Validation",
            NO_PROMPTS,
        ),
        ("/decode", {"ids": []}, 400, "Empty", f"{INVALID}`input_ids` cannot be empty"),
        ("/decode", {"ids": [[1], []]}, 400, "Empty", f"{INVALID}`input_ids` cannot be empty"),
        ("/decode", {"ids": [[1]] * 33}, 422, "Validation", TOO_MANY),
        ("/predict", {"inputs": ["a", "b"]}, 424, "Backend", NO_CLASSIFIER),
        ("/predict", {"inputs": [["a"]] * 32}, 424, "Backend", NO_CLASSIFIER),
        ("/predict", {"inputs": [["a"]] * 33}, 422, "Validation", TOO_MANY),
        ("/rerank", {"query": "q", "texts": ["t"] * 33}, 424, "Backend", NO_RERANKER),
        ("/rerank", {"query": "", "texts": []}, 400, "Empty", "`texts` cannot be empty"),
        ("/embed_sparse", {"inputs": ""}, 424, "Backend", NO_SPLADE),
        ("/embed_sparse", {"inputs": ["a"] * 33}, 422, "Validation", TOO_MANY),
    ],
)
async def test_refusals_are_teis(
    send: Send, path: str, body: dict[str, Any], status: int, error_type: str, message: str
) -> None:
    got_status, headers, got = await send("POST", path, body)

    assert (status, {"error": message, "error_type": error_type}) == (got_status, orjson.loads(got))
    assert headers["content-type"] == "application/json"
    assert not [name for name in headers if name.startswith("x-")]


@pytest.mark.parametrize(
    ("body", "status", "error_type", "message"),
    [
        ({"input": []}, 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ({"input": ["a", ""]}, 400, "Empty", f"{INVALID}`inputs` cannot be empty"),
        ({"input": ["a"] * 33}, 422, "Validation", TOO_MANY),
        ({"input": "a", "dimensions": 0}, 422, "Validation", f"{INVALID}`dimensions` should be positive"),
        (
            {"input": "a", "dimensions": 385},
            422,
            "Validation",
            f"{INVALID}`dimensions` should be smaller than the maximum embedding dimension.",
        ),
    ],
)
async def test_openai_refusals_are_flat(send: Send, body: Any, status: int, error_type: str, message: str) -> None:
    got_status, headers, got = await send("POST", "/v1/embeddings", body)

    expected = {"message": message, "code": status, "type": error_type}
    assert (status, list(expected.items())) == (got_status, list(orjson.loads(got).items()))
    assert headers["content-type"] == "application/json"
    assert not [name for name in headers if name.startswith("x-")]


@pytest.mark.parametrize("path", BODIES)
async def test_the_framework_answers_alike_on_every_route(send: Send, path: str) -> None:
    too_long = b"[" * (PAYLOAD_LIMIT + 1)
    faults = [
        (b"{}", {"content-type": "text/plain"}, 415, "Expected request with `Content-Type: application/json`"),
        (b"", JSON, 400, "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0"),
        (too_long, JSON, 413, "Failed to buffer the request body: length limit exceeded"),
        (b"{}", JSON, 422, "Failed to deserialize the JSON body into the target type: missing field"),
    ]
    for body, headers, status, text in faults:
        got_status, got_headers, got = await send("POST", path, body, headers)

        assert (status, "text/plain; charset=utf-8") == (got_status, got_headers["content-type"])
        assert got.decode().startswith(text)
        assert not {"server"} & got_headers.keys()


@pytest.mark.parametrize(
    ("path", "body", "characters", "tokens"),
    [
        ("/embed", {"inputs": "héllo world"}, 11, 4),
        ("/embed_all", {"inputs": ["hello world", [7592, 2088]]}, 11 + 2, 4 + 2),
        ("/v1/embeddings", {"input": ["hello world", [7592, 2088]]}, 11 + 2, 4 + 2),
        ("/similarity", {"inputs": {"source_sentence": "hello world", "sentences": ["a", "b"]}}, 13, 4 + 3 + 3),
    ],
)
async def test_computing_routes_tell_what_they_did(
    send: Send, path: str, body: Any, characters: int, tokens: int
) -> None:
    _, headers, _ = await send("POST", path, body)

    assert ("gpu+optimized", str(characters), str(tokens)) == (
        headers["x-compute-type"],
        headers["x-compute-characters"],
        headers["x-compute-tokens"],
    )
    told = {name for name in headers if name.startswith("x-")}
    assert told == TIMES | {"x-compute-type", "x-compute-characters", "x-compute-tokens"}
    assert all(headers[name].isdigit() for name in TIMES)


@pytest.mark.parametrize("path", BODIES)
async def test_other_methods_are_405_and_preflights_200(send: Send, path: str) -> None:
    allow = "POST,GET,HEAD" if path == "/" else "POST"

    status, headers, body = await send("DELETE", path)
    assert (405, allow, b"", "0") == (status, headers["allow"], body, headers["content-length"])
    assert "content-type" not in headers
    status, headers, body = await send("OPTIONS", path)
    assert (200, "GET,POST", "content-type", b"") == (
        status,
        headers["access-control-allow-methods"],
        headers["access-control-allow-headers"],
        body,
    )
    assert "content-type" not in headers


@pytest.mark.parametrize("path", ["/", "/health", "/ping", "/info"])
async def test_head_is_get_without_the_body(send: Send, path: str) -> None:
    _, got_headers, got_body = await send("GET", path)
    status, headers, body = await send("HEAD", path)

    assert (200, b"", str(len(got_body))) == (status, body, headers["content-length"])
    assert headers.keys() == got_headers.keys()


async def test_with_a_key_only_those_who_send_it_get_vectors(model: Model, client: Any) -> None:
    async with serving(settings(embedder_api_key="secret"), model) as port:
        send = sender(client, port)

        for path, body in BODIES.items():
            for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "bearer secret"}):
                status, headers, answer = await send("POST", path, body, JSON | given)
                assert (401, b"", "0") == (status, answer, headers["content-length"]), path
                assert not {"content-type", "www-authenticate", "allow"} & headers.keys()
            assert (await send("POST", path, body, JSON | {"authorization": "Bearer secret"}))[0] in (200, 424), path
        assert (await send("GET", "/info"))[0] == 401
        assert (await send("GET", "/info", headers={"authorization": "Bearer secret"}))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/health", 200, None),
        ("HEAD", "/", 200, None),
        ("GET", "/ping", 200, None),
        ("GET", "/metrics", 200, None),
        ("OPTIONS", "/embed", 200, "POST"),
        ("GET", "/nothing", 404, None),
        ("GET", "/embed", 401, "POST"),
        ("POST", "/info", 401, "GET,HEAD"),
        ("POST", "/health", 405, "GET,HEAD"),
    ],
)
async def test_without_the_key_a_wrong_method_is_401_and_health_is_open(
    model: Model, client: Any, method: str, path: str, status: int, allow: str | None
) -> None:
    async with serving(settings(embedder_api_key="secret"), model) as port:
        got_status, headers, _ = await sender(client, port)(method, path)

    assert (status, allow) == (got_status, headers.get("allow"))
    assert headers["access-control-allow-origin"] == "*"


async def test_failures_of_the_model_type_are_counted(send: Send) -> None:
    for path in ("/predict", "/rerank", "/embed_sparse"):
        await send("POST", path, BODIES[path])

    assert b'te_request_failure{err="model_type"} 3.0\n' in (await send("GET", "/metrics"))[2]
