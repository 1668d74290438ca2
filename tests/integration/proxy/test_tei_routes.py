"""TEI's routes beside `/embed`, and those of other proxies: shared calls where the body is plain, else the upstream's word."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.support.clerk import open_clerk
from tests.support.fake_upstream import OTHER_ROWS, FakeUpstream, Gate, tei_error, tokens, vector
from tests.support.house import House, HttpAnswer, open_house, ready_house
from tests.support.waiting import wait_until

JSON = "application/json"
COMPUTE = [
    ("/", {"inputs": "a"}),
    ("/invocations", {"inputs": "a"}),
    ("/embed", {"inputs": "a"}),
    ("/embed_all", {"inputs": "a"}),
    ("/embed_sparse", {"inputs": "a"}),
    ("/predict", {"inputs": "a"}),
    ("/rerank", {"query": "a", "texts": ["b"]}),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}),
    ("/tokenize", {"inputs": "a"}),
    ("/decode", {"ids": [[1]]}),
    ("/vertex", {"instances": []}),
    ("/v1/embeddings", {"input": "a"}),
    ("/embeddings", {"input": "a"}),
    ("/v1/embedding", [{"query": "a"}]),
    ("/vectors", {"text": "a"}),
]


@pytest.mark.parametrize(("path", "body"), COMPUTE)
async def test_every_route_answers(redis_url: str, upstream: FakeUpstream, path: str, body: Any) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(path, body, x_request_timeout_ms="5000", x_priority="bulk", x_request_id="mine")
        assert (reply.status, reply.headers["Content-Type"]) == (200, JSON)
        assert reply.headers["x-request-id"] == "mine"
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "server-timing" in reply.headers
        for headers in ({"x_request_timeout_ms": "0"}, {"x_priority": "urgent"}):
            refused = await house.post(path, body, **headers)
            assert (refused.status, next(iter(headers)).replace("_", "-") in refused.body.decode()) == (422, True)


@pytest.mark.parametrize(("path", "body"), COMPUTE)
async def test_every_route_keeps_its_deadline(redis_url: str, path: str, body: Any) -> None:
    """There is no batcher, so there is no answer."""
    async with open_clerk(redis_url), open_house(redis_url) as house:
        assert (await house.post(path, body, x_request_timeout_ms="20")).status == 504


async def shared(house: House, upstream: FakeUpstream, path: str, *asked: Any, inputs: int = 0) -> list[HttpAnswer]:
    """Ask all at once while a call is under way. They have `inputs` inputs, one each unless that is given."""
    gate = Gate()
    upstream.behave = gate
    calls = len(upstream.calls)
    ahead = asyncio.create_task(house.embed("ahead"))
    await wait_until(lambda: len(upstream.calls) > calls)
    asking = [asyncio.create_task(house.post(path, body)) for body in asked]
    await wait_until(lambda: house.holds(1 + (inputs or len(asked))))
    gate.opened.set()
    await ahead
    return await asyncio.gather(*asking)


@pytest.mark.parametrize("path", ["/embed_all", "/embed_sparse"])
async def test_token_routes_share_their_calls(redis_url: str, upstream: FakeUpstream, path: str) -> None:
    texts = ["a", "b c", "d e f"]
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        replies = await shared(house, upstream, path, *({"inputs": text} for text in texts))
    assert [reply.json for reply in replies] == [[OTHER_ROWS[path](text)] for text in texts]
    assert len(upstream.calls) == 2


async def test_ids_without_tokens_have_no_vectors_and_texts_must_have_some(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OTHER_ROWS, "/embed_all", lambda text: [vector(text)] if text == "a" else [])
    async with ready_house(redis_url, upstream.url) as house:
        for inputs, rows in (([9], [[]]), ([[9]], [[]]), (["a", [9]], [[vector("a")], []]), ([[9], [8]], [[], []])):
            reply = await house.post("/embed_all", {"inputs": inputs})
            assert (reply.status, reply.json) == (200, rows)
        for odd in ("b", ["b"], [[9], "b"]):
            assert (await house.post("/embed_all", {"inputs": odd})).status == 502


async def test_predictions_share_their_calls_and_come_in_their_own_shape(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        text, one, pair, batch = await shared(
            house, upstream, "/predict", *({"inputs": each} for each in ("a", ["b"], ["c", "d"], [["e", "f"]]))
        )
    assert [reply.json[0].get("label") for reply in (text, one, pair)] == ["['a']", "['b']", "['c', 'd']"]
    assert batch.json == [[{"score": 0.5, "label": "['e', 'f']"}]]
    assert len(upstream.calls) == 2


async def test_a_long_list_of_another_route_is_split_and_joined(redis_url: str, upstream: FakeUpstream) -> None:
    texts = [f"text {'x ' * (number % 9)}{number}" for number in range(80)]
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        reply = await house.post("/embed_sparse", {"inputs": texts})
    assert reply.json == [OTHER_ROWS["/embed_sparse"](text) for text in texts]
    assert max(map(len, upstream.calls)) <= 32


@pytest.mark.parametrize(
    ("model_type", "path"),
    [
        ({"embedding": {"pooling": "mean"}}, "/embed"),
        ({"embedding": {"pooling": "splade"}}, "/embed_sparse"),
        ({"classifier": {"id2label": {}, "label2id": {}}}, "/predict"),
    ],
)
async def test_the_alias_is_the_route_of_the_models_type(
    redis_url: str, upstream: FakeUpstream, model_type: Any, path: str
) -> None:
    upstream.info = {"model_id": "m", "model_type": model_type}
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        for alias in ("/", "/invocations"):
            assert (await house.post(alias, {"inputs": "a"})).body == (await house.post(path, {"inputs": "a"})).body
    assert upstream.passed == []


async def test_a_rerankers_alias_and_what_is_not_plain_is_the_upstreams(redis_url: str, upstream: FakeUpstream) -> None:
    """It may have been started with a task that it does not tell."""
    upstream.info = {"model_id": "m", "model_type": {"reranker": {}}}
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        await house.post("/", {"query": "a", "texts": ["b"]})
        upstream.info = {"model_id": "m"}
        await house.post("/invocations", {"inputs": {"source_sentence": "a", "sentences": ["b"]}})
    assert [path for path, _, _ in upstream.passed] == ["/", "/invocations"]


def rank(_path: str, asked: Any) -> Any:
    """As a reranker with TEI's limit: by length, equal ones in reverse; and it fails on the text `poison`."""
    texts = asked["texts"]
    if len(texts) > 32:
        return tei_error(422, f"batch size {len(texts)} > maximum allowed batch size 32", "Validation")
    if poison := next((text for text in texts if text.startswith("poison")), None):
        return tei_error(422, f"Input validation error: {poison}", "Validation")
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))[::-1]
    return [{"index": at, "text": texts[at], "score": len(texts[at]) / 8} for at in order]


@pytest.mark.parametrize("path", ["/rerank", "/", "/invocations"])
async def test_a_long_list_is_ranked_as_one(redis_url: str, upstream: FakeUpstream, path: str) -> None:
    texts = ["x" * (number * 7 % 11) for number in range(100)]
    upstream.scoring = rank
    upstream.info = {"model_id": "m", "model_type": {"reranker": {}}, "max_client_batch_size": 32}
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        reply = await house.post(path, {"query": "é", "texts": texts, "return_text": True})
        few = await house.post(path, {"query": "q", "texts": texts[:3]})
    order = sorted(range(100), key=lambda at: len(texts[at]))[::-1]
    assert reply.json == [{"index": at, "text": texts[at], "score": len(texts[at]) / 8} for at in order]
    assert reply.headers["x-compute-characters"] == str(100 + sum(map(len, texts)))
    assert reply.headers["x-batch-size"] == "32"
    assert few.json == rank(path, {"texts": texts[:3]})
    assert [len(orjson.loads(body)["texts"]) for _, body, _ in upstream.passed[-1:]] == [3]
    assert sorted(len(orjson.loads(body)["texts"]) for _, body, _ in upstream.passed[:-1]) == [4, 32, 32, 32]


async def test_of_a_long_list_the_first_bad_text_speaks(redis_url: str, upstream: FakeUpstream) -> None:
    texts = [*"abcd", *(f"text {number}" for number in range(60)), "poison 1", "poison 2"]
    upstream.scoring = rank
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        reply = await house.post("/rerank", {"query": "q", "texts": texts})
        refused = await house.post("/rerank", {"query": "q", "texts": ["a"] * 2049})
        await wait_until(lambda: house.holds(0))
    assert (reply.status, reply.json["error"]) == (422, "Input validation error: poison 1")
    assert (refused.status, refused.json["error"]) == (422, "batch size 2049 > maximum allowed batch size 2048")


async def test_an_odd_answer_to_a_part_of_a_list_is_never_a_success(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.scoring = lambda _path, _asked: [{"index": 0, "score": 0.5}]
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        for path, body in (
            ("/rerank", {"query": "q", "texts": ["a"] * 33}),
            ("/similarity", {"inputs": {"source_sentence": "s", "sentences": ["a"] * 33}}),
        ):
            assert (await house.post(path, body)).status == 502


async def test_ids_that_nobody_reads_are_checked_before_they_reach_the_model(
    redis_url: str, upstream: FakeUpstream
) -> None:
    by_position = [[99_999_999], None, "right", None, True, None]
    async with ready_house(redis_url, upstream.url) as house:
        for path, body in (
            ("/vertex", {"instances": [{"type": "embed", "inputs": [99_999_999]}]}),
            ("/embed", by_position),
        ):
            refused = await house.post(path, body)
            assert (refused.status, refused.json["error_type"]) == (400, "Validation")
            assert "not of this model's vocabulary" in refused.json["error"]
        assert (upstream.calls, upstream.passed) == ([], [])
        taken = await house.post("/vertex", {"instances": [{"inputs": [7]}]})
    assert (taken.status, taken.body) == (200, upstream.passing[2])


@pytest.mark.parametrize("path", ["/rerank", "/similarity", "/vertex"])
@pytest.mark.parametrize(
    "passing",
    [
        (200, JSON, b'[ {"index":1, "score":1e-7} ]'),
        (200, "text/plain; charset=utf-8", "grüße".encode()),
        (422, JSON, b'{"error":"batch size 33 > maximum allowed batch size 32","error_type":"Validation"}'),
        (422, "text/plain; charset=utf-8", b"Failed to deserialize the JSON body into the target type: missing field"),
        (400, "text/plain; charset=utf-8", b"Failed to parse the request body as JSON: EOF"),
        (413, "text/plain; charset=utf-8", b"Failed to buffer the request body: length limit exceeded"),
        (415, "text/plain; charset=utf-8", b"Expected request with `Content-Type: application/json`"),
        (424, JSON, b'{"error":"Backend error: model is not a re-ranker model","error_type":"Backend"}'),
    ],
)
async def test_what_is_not_taken_apart_passes_as_it_is(
    redis_url: str, upstream: FakeUpstream, path: str, passing: tuple[int, str, bytes]
) -> None:
    upstream.passing = passing
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(path, b'{"any": 1}\x00', content_type="application/x+json; y=z")
    assert (reply.status, reply.headers["Content-Type"], reply.body) == passing
    assert upstream.passed == [(path, b'{"any": 1}\x00', "application/x+json; y=z")]


async def test_a_route_of_another_model_takes_the_upstream_from_nobody(redis_url: str, upstream: FakeUpstream) -> None:
    """It is told at once, and however often it is asked for, the others are served."""

    async def of_vectors(_texts: list[str]) -> Any:
        return tei_error(424, "Backend error: Model is not a classifier model", "Backend")

    async with ready_house(redis_url, upstream.url) as house:
        upstream.behave = of_vectors
        replies = [await house.post("/predict", {"inputs": "a"}) for _ in range(10)]
        upstream.behave = None
        assert {(reply.status, reply.json["error_type"]) for reply in replies} == {(424, "Backend")}
        assert len(upstream.calls) == 10
        assert await house.embed("b") == (200, [vector("b")])


async def test_an_odd_answer_of_another_route_is_never_passed(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        for path, body in (("/embed_all", [[1]]), ("/embed_sparse", [[{"index": 1}]]), ("/predict", [[]])):
            upstream.behave = answering(body)
            reply = await house.post(path, {"inputs": "a"})
            assert (reply.status, reply.json["error_type"]) == (502, "Backend")


def answering(body: Any) -> Any:
    async def behave(_texts: list[str]) -> web.Response:
        return web.Response(body=orjson.dumps(body), headers={"Content-Type": JSON})

    return behave


async def test_clients_of_other_proxies_get_their_shapes(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        one = await house.post("/embed", {"input": "a"})
        several = await house.post("/embed", {"input": ["a", "inputs"], "normalize": False})
        both = await house.post("/embed", {"input": "a", "inputs": "b"})
        queries = await house.post("/v1/embedding", [{"query": "a"}, {"query": "b"}])
        weaviate = await house.post("/vectors", b'{"text":"a","config":{"pooling_strategy":"cls"}}')
        listed = await house.post("/vectors", {"texts": ["a", "b"]})
    size = len(vector("a"))
    assert one.json == {"embedding": vector("a")}
    assert several.json == {"embeddings": [vector("a"), vector("inputs")]}
    assert both.json == [vector("b")]
    assert queries.json == [{"embedding": vector("a")}, {"embedding": vector("b")}]
    assert weaviate.json == {"text": "a", "dims": size, "dim": size, "vector": vector("a")}
    assert listed.json == {"texts": ["a", "b"], "dims": size, "dim": size, "vectors": [vector("a"), vector("b")]}


@pytest.mark.parametrize(
    ("path", "body", "content_type", "status", "says"),
    [
        ("/v1/embedding", b"[", JSON, 400, "not JSON"),
        ("/v1/embedding", b"[]", JSON, 400, "empty"),
        ("/v1/embedding", b'[{"query":"a"}]', "text/plain", 415, "application/json"),
        ("/v1/embedding", b'[{"text":"a"}]', JSON, 422, "query"),
        ("/v1/embedding", b'[{"query":""}]', JSON, 400, "cannot be empty"),
        ("/vectors", b"{", None, 400, "not JSON"),
        ("/vectors", b"{}", None, 422, "text"),
        ("/vectors", b'{"text":7}', None, 422, "text"),
    ],
)
async def test_what_other_proxies_clients_do_wrong_is_told_in_teis_shape(
    redis_url: str, upstream: FakeUpstream, path: str, body: bytes, content_type: str | None, status: int, says: str
) -> None:
    headers = {"content_type": content_type} if content_type else {}
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(path, body, **headers)
    assert (reply.status, list(reply.json), reply.headers["Content-Type"]) == (status, ["error", "error_type"], JSON)
    assert says in reply.json["error"]


async def test_weaviates_other_routes(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        assert (await house.get("/meta")).body == (await house.get("/info")).body
        for path in ("/.well-known/ready", "/.well-known/live"):
            reply = await house.get(path)
            assert (reply.status, reply.body) == (204, b"")


@pytest.mark.usefixtures("_quick_probes")
async def test_info_tells_the_longest_list_that_is_taken_here(redis_url: str, upstream: FakeUpstream) -> None:
    """Clients cut their lists by it. The upstream's own has another key, and follows it."""
    async with ready_house(redis_url, upstream.url, proxy={"max_client_batch_size": 100}) as house:
        await wait_until(house.knows_the_model)
        for limit in (32, 8):
            told = {"max_client_batch_size": 100, "upstream_max_client_batch_size": limit}
            upstream.info = {"model_id": "fake", "max_client_batch_size": limit}

            async def says(told: dict[str, int] = told) -> bool:
                return bool((await house.get("/info")).json == {"model_id": "fake", **told})

            await wait_until(says)
            assert (await house.embed([f"text {n}" for n in range(100)]))[0] == 200
        assert (await house.embed(["a"] * 101))[0] == 422


async def test_a_house_without_a_batcher_lives_and_is_not_ready(redis_url: str) -> None:
    async with open_house(redis_url) as house:
        assert (await house.get("/.well-known/live")).status == 204
        assert (await house.get("/.well-known/ready")).status == 503


async def test_a_body_of_unknown_length_is_read(redis_url: str, upstream: FakeUpstream) -> None:
    async def chunks() -> Any:
        yield b'{"inputs":'
        await asyncio.sleep(0.02)
        yield b'"a"}'

    async with ready_house(redis_url, upstream.url) as house:
        async with house.http.post(f"{house.url}/embed", data=chunks(), headers={"Content-Type": JSON}) as answer:
            assert (answer.status, await answer.json()) == (200, [vector("a")])
            assert "Transfer-Encoding" in answer.request_info.headers


@pytest.mark.parametrize(("path", "body"), [("/embed", {"inputs": "a"}), ("/v1/embeddings", {"input": "a"})])
async def test_a_compressed_body_goes_as_it_came(redis_url: str, upstream: FakeUpstream, path: str, body: Any) -> None:
    packed = gzip.compress(orjson.dumps(body))
    upstream.passing = (400, "text/plain", b"Failed to parse the request body as JSON")
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(path, packed, content_type=JSON, content_encoding="gzip")
    assert reply.status == 400
    assert upstream.passed == ([] if path == "/embed" else [(path, packed, JSON)])


@pytest.mark.parametrize(("spare", "status"), [(0, 200), (-1, 413)])
async def test_a_body_may_be_as_long_as_the_limit(
    redis_url: str, upstream: FakeUpstream, spare: int, status: int
) -> None:
    body = b'{"inputs":"%b"}' % (b"a" * 2000)
    async with ready_house(redis_url, upstream.url, proxy={"payload_limit": len(body) + spare}) as house:
        assert (await house.post("/embed", body, content_type=JSON)).status == status


async def test_measures_are_the_requests_own(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        alone = await house.post("/embed", {"inputs": "alone é"})
        one, other = await shared(house, upstream, "/embed", {"inputs": "one é"}, {"inputs": ["a", "bc"]}, inputs=3)
        passed = await house.post("/rerank", {"query": "a", "texts": ["b"]})
    assert alone.headers["x-compute-tokens"] == str(tokens("alone é"))
    assert (alone.headers["x-compute-time"], alone.headers["x-queue-time"]) == ("7", "3")
    assert [reply.headers["x-compute-characters"] for reply in (alone, one, other)] == ["7", "5", "3"]
    assert [reply.headers["x-compute-type"] for reply in (alone, one, other)] == ["fake"] * 3
    assert "x-queue-time" not in one.headers
    assert not [name for name in passed.headers if name.lower().startswith("x-compute")]


@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/embed_sparse", "/"])
async def test_ids_outside_the_vocabulary_never_reach_the_model(
    redis_url: str, upstream: FakeUpstream, path: str
) -> None:
    """Sent alone they kill a TEI with the ONNX Runtime backend, and the requests of all others with it."""
    async with ready_house(redis_url, upstream.url) as house:
        for inputs in ([99_999_999], [[100], [5]], ["a", [4, 2**32 - 1]]):
            answer = await house.post(path, {"inputs": inputs})
            assert answer.status == 400
            assert answer.json["error_type"] == "Validation"
            assert "not of this model's vocabulary" in answer.json["error"]
        assert upstream.calls == []
        assert upstream.decoded == [99_999_999, 100, 2**32 - 1]
