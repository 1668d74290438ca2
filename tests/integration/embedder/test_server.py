"""The embedder's whole server in this process, with the real model: /embed, /tokenize, /info, common rules."""

import gzip

import aiohttp
import numpy as np
import orjson
import pytest

from autobatch_embedder.app import serving
from autobatch_embedder.model.loaded_model import Model
from tests.support.servers.embedder_server import JSON, PAYLOAD_LIMIT, Send, embed, sender, settings

HELLO = [-0.03447726, 0.03102321, 0.00673492, 0.02610902, -0.03936195]
"""The first components of "hello world", as sentence-transformers computes them."""


async def test_a_text_gets_the_vector_that_sentence_transformers_gives(send: Send) -> None:
    vectors = await embed(send, "hello world")

    assert vectors.shape == (1, 384)
    np.testing.assert_allclose(vectors[0, :5], HELLO, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors), 1, rtol=1e-6)


@pytest.mark.parametrize("path", ["/", "/invocations"])
async def test_aliases_answer_as_embed_does(send: Send, path: str) -> None:
    body = {"inputs": ["a", "b"], "dimensions": 4}

    assert (await send("POST", path, body))[2] == (await send("POST", "/embed", body))[2]


async def test_companions_do_not_change_a_vector(send: Send) -> None:
    texts = ["hello world", "a", "many more words than the others have, so that all of them are padded to its length"]

    together = await embed(send, texts)

    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose((await embed(send, text))[0], vector, atol=1e-5)


async def test_dimensions_are_cut_before_normalising(send: Send) -> None:
    pooled = await embed(send, "hello world", normalize=False)
    cut = await embed(send, "hello world", dimensions=8)

    assert cut.shape == (1, 8)
    np.testing.assert_allclose(cut[0], pooled[0, :8] / np.linalg.norm(pooled[0, :8]), atol=1e-6)
    assert np.linalg.norm(pooled) > 1.1
    np.testing.assert_array_equal(await embed(send, "hello world", dimensions=384), await embed(send, "hello world"))


async def test_floats_are_printed_as_shortest_float32_without_spaces(send: Send) -> None:
    _, _, body = await send("POST", "/embed", {"inputs": ["hello world"], "dimensions": 3})

    printed = body.removeprefix(b"[[").removesuffix(b"]]").split(b",")
    assert [str(np.float32(number.decode())).encode() for number in printed] == printed


async def test_token_ids_are_decoded_and_encoded_without_special_tokens(send: Send) -> None:
    with_special, without, text = await embed(send, [[101, 7592, 2088, 102], [7592, 2088], "hello world"])

    np.testing.assert_allclose(with_special, text, atol=1e-5)
    assert with_special @ without < 0.999
    np.testing.assert_allclose((await embed(send, [101, 7592, 2088, 102]))[0], text, atol=1e-5)


async def test_truncation_keeps_256_tokens_of_the_asked_end(send: Send) -> None:
    words = ["alpha"] * 254 + ["omega"] * 254

    right, first_half = await embed(send, [" ".join(words), " ".join(words[:254])], truncate=True)
    (left,) = await embed(send, " ".join(words), truncation_direction="left")
    (second_half,) = await embed(send, " ".join(words[254:]), truncate=False)

    np.testing.assert_allclose(right, first_half, atol=1e-5)
    np.testing.assert_allclose(left, second_half, atol=1e-5)


async def test_a_full_batch_is_answered_in_order(send: Send) -> None:
    texts = [f"text number {index}" for index in range(32)]

    vectors = await embed(send, texts)

    np.testing.assert_allclose((await embed(send, texts[17]))[0], vectors[17], atol=1e-5)
    assert int(np.argmax(vectors @ vectors[17])) == 17


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b'{"inputs":"a"}', {}, 415, "Expected request with `Content-Type: application/json`"),
        (b'{"inputs":"a"}', {"content-type": "text/json"}, 415, "Expected request with"),
        (b"", JSON, 400, "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"inputs":NaN}', JSON, 400, "Failed to parse the request body as JSON: "),
        (
            gzip.compress(b'{"inputs":"a"}'),
            {**JSON, "content-encoding": "gzip"},
            400,
            "Failed to parse the request body as JSON: ",
        ),
        (b"{}", JSON, 422, "Failed to deserialize the JSON body into the target type: missing field `inputs` at line"),
        (
            b'{"inputs":"a","inputs":"b"}',
            JSON,
            422,
            "Failed to deserialize the JSON body into the target type: duplicate field `inputs`",
        ),
        (
            b'{"inputs":"' + b"a" * PAYLOAD_LIMIT + b'"}',
            JSON,
            413,
            "Failed to buffer the request body: length limit exceeded",
        ),
    ],
)
async def test_unreadable_bodies_get_plain_text(
    send: Send, body: bytes, headers: dict[str, str], status: int, text: str
) -> None:
    got_status, got_headers, got = await send("POST", "/embed", body, {"content-type": "", **headers})

    assert got_status == status
    assert got.decode().startswith(text)
    assert got_headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_body_of_exactly_the_limit_is_read(send: Send) -> None:
    frame = len(b'{"inputs":""}')

    assert (await send("POST", "/embed", {"inputs": "a" * (PAYLOAD_LIMIT - frame)}))[0] == 200
    assert (await send("POST", "/embed", {"inputs": "a" * (PAYLOAD_LIMIT - frame + 1)}))[0] == 413


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"])
async def test_every_json_content_type_is_taken(send: Send, content_type: str) -> None:
    assert (await send("POST", "/embed", {"inputs": "a"}, {"content-type": content_type}))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing", 404, None),
        ("POST", "/embed/", 404, None),
        ("POST", "/v1/models", 404, None),
        ("GET", "/embed", 405, "POST"),
        ("POST", "/info", 405, "GET,HEAD"),
        ("PUT", "/", 405, "POST,GET,HEAD"),
        ("POST", "/%65mbed", 404, None),
        ("OPTIONS", "/embed", 200, "POST"),
        ("OPTIONS", "/", 200, "POST,GET,HEAD"),
        ("OPTIONS", "/%65mbed", 200, None),
        ("OPTIONS", "/nothing", 200, None),
        ("GET", "/health", 200, None),
        ("GET", "/ping", 200, None),
        ("GET", "/", 200, None),
    ],
)
async def test_answers_without_a_body(send: Send, method: str, path: str, status: int, allow: str | None) -> None:
    got_status, headers, body = await send(method, path)

    assert (status, allow, b"") == (got_status, headers.get("allow"), body)
    assert headers["content-length"] == "0"
    assert "content-type" not in headers


async def test_vectors_come_with_measurements(send: Send) -> None:
    _, headers, _ = await send("POST", "/embed", {"inputs": ["héllo world", [7592, 2088]]})

    assert headers["content-type"] == "application/json"
    assert headers["x-compute-characters"] == str(11 + 2)
    assert headers["x-compute-tokens"] == str(4 + 2)
    for name in ("x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"):
        assert headers[name].isdigit(), name
    assert int(headers["x-total-time"]) >= int(headers["x-inference-time"])


@pytest.mark.parametrize("path", ["/info", "/metrics", "/health", "/nothing", "/embed"])
async def test_every_answer_allows_any_origin_and_names_no_server(send: Send, path: str) -> None:
    _, headers, _ = await send("GET", path)

    assert headers["vary"] == "origin, access-control-request-method, access-control-request-headers"
    assert headers["access-control-allow-origin"] == "*"
    assert "date" in headers
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("x-")]


async def test_info_is_teis_object_in_its_order_and_how_the_cores_are_divided(send: Send, model: Model) -> None:
    _, headers, body = await send("GET", "/info")

    info = orjson.loads(body)
    workers = info.pop("tokenization_workers")
    assert workers >= 1
    assert list(info)[-1] == "cores"
    divided = info.pop("cores")
    assert divided == model.choice.shown
    assert list(
        {
            "model_id": "sentence-transformers/all-MiniLM-L6-v2",
            "model_sha": None,
            "model_dtype": "float32",
            "served_model_name": "sentence-transformers/all-MiniLM-L6-v2",
            "model_type": {"embedding": {"pooling": "mean"}},
            "max_concurrent_requests": 512,
            "max_input_length": 256,
            "max_batch_tokens": 8192,
            "max_batch_requests": 32,
            "max_client_batch_size": 32,
            "auto_truncate": True,
            "version": "1.9.3",
            "sha": None,
            "docker_label": None,
        }.items()
    ) == list(info.items())
    assert headers["content-type"] == "application/json"


async def test_tokenize_gives_ids_texts_and_byte_offsets(send: Send) -> None:
    status, headers, body = await send("POST", "/tokenize", {"inputs": "Héllo 😀"})

    assert status == 200
    assert not [name for name in headers if name.startswith("x-")]
    assert orjson.loads(body) == [
        [
            {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None},
            {"id": 7592, "text": "Héllo", "special": False, "start": 0, "stop": 6},
            {"id": 100, "text": "😀", "special": False, "start": 7, "stop": 11},
            {"id": 102, "text": "[SEP]", "special": True, "start": None, "stop": None},
        ]
    ]
    _, _, body = await send("POST", "/tokenize", {"inputs": ["hello " * 300], "add_special_tokens": False})
    assert [token["id"] for token in orjson.loads(body)[0]] == [7592] * 300


async def test_metrics_count_requests_inputs_and_failures(send: Send) -> None:
    await send("POST", "/embed", {"inputs": ["a", "b"]})
    await send("POST", "/embed", {"inputs": ""})

    _, headers, body = await send("GET", "/metrics")

    lines = body.decode().splitlines()
    assert headers["content-type"] == "text/plain; charset=utf-8"
    for line in (
        'te_request_count{method="batch"} 1.0',
        'te_request_count{method="single"} 1.0',
        'te_request_success{method="batch"} 1.0',
        'te_request_failure{err="tokenization"} 1.0',
        "te_embed_count 3.0",
        "te_embed_success 2.0",
        "te_queue_size 0.0",
        "te_batch_next_size_sum 2.0",
        "te_request_inference_duration_count 1.0",
    ):
        assert line in lines


async def test_truncation_can_be_off_by_default(model: Model, client: aiohttp.ClientSession) -> None:
    async with serving(settings(embedder_auto_truncate=False, embedder_max_client_batch_size=2), model) as port:
        send = sender(client, port)

        assert (await send("POST", "/embed", {"inputs": "a " * 300}))[0] == 422
        assert (await send("POST", "/embed", {"inputs": "a " * 300, "truncate": True}))[0] == 200
        assert (await send("POST", "/embed", {"inputs": ["a"] * 3}))[0] == 422
