"""OpenAI's routes: the same calls as TEI's, each client's own usage, and errors that both kinds of clients read."""

import asyncio
import base64
import struct
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from autobatch_shared.contract.keys import Keys
from tests.support.fake_upstream import FakeUpstream, Gate, tokens, vector
from tests.support.house import House, HttpAnswer, ready_house
from tests.support.servers.leaks import keys_left, keys_without_ttl
from tests.support.waiting import wait_until

OPENAI = "/v1/embeddings"
KEYS = ["error", "message", "type", "code"]
INFO = {"model_id": "fake", "served_model_name": "the/model", "max_client_batch_size": 32, "max_input_length": 512}


def embeddings(reply: HttpAnswer) -> list[Any]:
    assert reply.status == 200, reply.body
    assert [place for place, _ in enumerate(reply.json["data"])] == [each["index"] for each in reply.json["data"]]
    return [each["embedding"] for each in reply.json["data"]]


def usage(reply: HttpAnswer) -> int:
    assert reply.status == 200, reply.body
    prompt, total = reply.json["usage"]["prompt_tokens"], reply.json["usage"]["total_tokens"]
    assert prompt == total
    return int(total)


def openai_error(reply: HttpAnswer) -> tuple[int, str, str]:
    """Status, type and message, the shape checked."""
    said = reply.json
    assert list(said) == KEYS
    assert said["code"] == reply.status
    assert said["error"] == {"message": said["message"], "type": said["type"]} | {
        "param": said["error"]["param"],
        "code": {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(reply.status),
    }
    assert reply.headers["Content-Type"] == "application/json"
    return reply.status, said["type"], said["message"]


def but_for_its_id(reply: HttpAnswer) -> Any:
    assert reply.json["id"] == f"embd-{reply.headers['x-request-id']}"
    return {name: value for name, value in reply.json.items() if name != "id"}


async def together(house: House, upstream: FakeUpstream, *asked: tuple[str, Any]) -> list[HttpAnswer]:
    """Ask all at once, while one call is under way, so that they share the next one."""
    gate = Gate()
    upstream.behave = gate
    before = len(upstream.calls)
    ahead = asyncio.create_task(house.embed("ahead"))
    await wait_until(lambda: len(upstream.calls) > before)
    asking = [asyncio.create_task(house.post(path, body)) for path, body in asked]
    await wait_until(lambda: house.holds(1 + len(asked)))
    gate.opened.set()
    await ahead
    return await asyncio.gather(*asking)


async def test_an_answer_is_openais(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = INFO
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        for path in (OPENAI, "/embeddings"):
            reply = await house.post(path, {"input": ["a", "b c"], "model": "asked"})
            assert list(reply.json) == ["id", "object", "data", "model", "usage"]
            assert reply.json["id"] == f"embd-{reply.headers['x-request-id']}"
            assert [list(each) for each in reply.json["data"]] == [["object", "embedding", "index"]] * 2
            assert embeddings(reply) == [vector("a"), vector("b c")]
            assert (reply.json["object"], reply.json["model"]) == ("list", "the/model")
            assert usage(reply) == tokens("a") + tokens("b c")
    assert upstream.passed == []


async def test_what_openai_allows_to_be_null_is_as_good_as_absent(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        nulls = dict.fromkeys(("model", "user", "encoding_format", "dimensions"))
        assert embeddings(await house.post(OPENAI, {"input": "a", **nulls})) == [vector("a")]
    assert (upstream.calls, upstream.passed) == ([["a"]], [])


async def test_an_unknown_path_below_v1_is_told_as_openai_tells_it(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        for path in ("/v1/", "/v1/chat/completions", "/v1/embeddings/", "/v1/v1/embeddings"):
            assert openai_error(await house.post(path, {"input": "a"}))[:2] == (404, "NotFound")
        assert (await house.post("/v2/embeddings", {"input": "a"})).body == b""


async def test_base64_is_the_same_vector(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(OPENAI, {"input": "a", "encoding_format": "base64"})
    (text,) = embeddings(reply)
    packed = struct.pack(f"<{len(vector('a'))}f", *vector("a"))
    assert base64.b64decode(text) == packed


async def test_both_apis_share_a_call_and_each_pays_for_their_own(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        one, other, tei, encoded = await together(
            house,
            upstream,
            (OPENAI, {"input": "one"}),
            (OPENAI, {"input": "this one is longer"}),
            ("/embed", {"inputs": "not counted"}),
            (OPENAI, {"input": "in base64", "encoding_format": "base64"}),
        )
    assert len(upstream.calls) == 2
    assert [tokens("one"), tokens("this one is longer"), tokens("in base64")] == [*map(usage, (one, other, encoded))]
    assert tei.json == [vector("not counted")]
    assert sorted(text for call in upstream.tokenized for text in call) == ["in base64", "one", "this one is longer"]
    assert "x-compute-tokens" not in tei.headers
    assert one.headers["x-compute-tokens"] == str(tokens("one"))
    assert one.headers["x-compute-characters"] == "3"
    assert await keys_left(redis_url) == []


async def test_who_is_alone_is_counted_by_the_header(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(OPENAI, {"input": ["alone", "with himself"]})
    assert usage(reply) == tokens("alone") + tokens("with himself")
    assert upstream.tokenized == []
    assert (reply.headers["x-compute-type"], reply.headers["x-queue-time"]) == ("fake", "3")


async def test_a_text_that_is_there_twice_is_paid_twice(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(OPENAI, {"input": ["twice", "twice"]})
    assert [["twice"]] == upstream.calls
    assert usage(reply) == 2 * tokens("twice")
    assert reply.headers["x-compute-characters"] == "10"


async def test_when_counting_fails_only_those_who_need_it_fail(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.tokenize_status = 503
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        one, other, tei = await together(
            house, upstream, (OPENAI, {"input": "a"}), (OPENAI, {"input": "b"}), ("/embed", {"inputs": "c"})
        )
        assert (await house.post(OPENAI, {"input": "alone"})).status == 200
    assert [openai_error(reply)[:2] for reply in (one, other)] == [(502, "Backend")] * 2
    assert (tei.status, tei.json) == (200, [vector("c")])


async def test_an_upstream_that_cannot_count_leaves_it_at_0(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.tokenize_status = 404
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        replies = await together(house, upstream, (OPENAI, {"input": "a"}), (OPENAI, {"input": "b"}))
    assert [usage(reply) for reply in replies] == [0, 0]
    assert [embeddings(reply) for reply in replies] == [[vector("a")], [vector("b")]]


async def test_a_poisonous_text_fails_alone(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        good, bad, other = await together(
            house, upstream, (OPENAI, {"input": "a"}), (OPENAI, {"input": "poison x"}), (OPENAI, {"input": "b"})
        )
    assert [usage(good), usage(other)] == [tokens("a"), tokens("b")]
    assert openai_error(bad) == (422, "Validation", "Input validation error: poison x")


async def test_token_ids_are_refused_unless_a_setting_says_whose_they_are(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        status, kind, message = openai_error(await house.post(OPENAI, {"input": [[5]], "model": "m"}))
    assert (status, kind) == (400, "Validation")
    assert "check_embedding_ctx_length=False" in message
    assert (upstream.calls, upstream.decoded, upstream.passed) == ([], [], [])


async def test_ids_that_are_not_the_models_are_never_sent(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"openai_token_ids": "model"}) as house:
        await wait_until(house.knows_the_model)
        for inputs in ([100], [[5, 101], [3]], ["a", [4, 2**32 - 1]]):
            status, kind, message = openai_error(await house.post(OPENAI, {"input": inputs}))
            assert (status, kind) == (400, "Validation")
            assert "check_embedding_ctx_length=False" in message
        assert upstream.calls == []
        assert usage(await house.post(OPENAI, {"input": [[5, 99], [3]]})) > 0
        assert (await house.post(OPENAI, {"input": [7]})).status == 200
    assert upstream.decoded == [100, 101, 2**32 - 1, 99]


async def test_a_long_list_is_split_and_joined(redis_url: str, upstream: FakeUpstream) -> None:
    """And its usage is the sum, whichever side counted each part."""
    texts = [f"text {number} {'x ' * (number % 7)}".strip() for number in range(2048)]
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        reply = await house.post(OPENAI, {"input": texts})
        assert embeddings(reply) == [vector(text) for text in texts]
        assert usage(reply) == sum(map(tokens, texts))
        assert max(map(len, upstream.calls)) <= 32
        refused = await house.post(OPENAI, {"input": [*texts, "a"]})
    assert openai_error(refused) == (422, "Validation", "batch size 2049 > maximum allowed batch size 2048")


async def test_a_cached_answer_keeps_its_usage(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"cache_ttl_s": 60}, max_concurrent_batches=1) as house:
        await wait_until(house.knows_the_model)
        first = await together(house, upstream, (OPENAI, {"input": "one"}), (OPENAI, {"input": "the other"}))
        alone = await house.post(OPENAI, {"input": "alone"})
        await wait_until(lambda: has_keys(redis_url, 7))  # `ahead` was not counted
        calls, counts = len(upstream.calls), len(upstream.tokenized)
        again = [await house.post(OPENAI, {"input": text}) for text in ("one", "the other", "alone")]
        listed = await house.post(OPENAI, {"input": ["alone", "one", "alone"]})
        assert (len(upstream.calls), len(upstream.tokenized)) == (calls, counts)
        assert [but_for_its_id(reply) for reply in again] == [but_for_its_id(reply) for reply in (*first, alone)]
        assert usage(listed) == 2 * tokens("alone") + tokens("one")
        partly = await house.post(OPENAI, {"input": ["one", "something new"]})
        assert (usage(partly), embeddings(partly)) == (
            tokens("one") + tokens("something new"),
            [vector("one"), vector("something new")],
        )
        assert (await house.embed("one")) == (200, [vector("one")])  # TEI's clients have the same rows
        assert [["something new"]] == upstream.calls[calls:]
    assert await keys_without_ttl(redis_url) == []


async def test_a_list_is_kept_text_by_text(redis_url: str, upstream: FakeUpstream) -> None:
    """Though the header of its call tells one number for all."""
    async with ready_house(redis_url, upstream.url, proxy={"cache_ttl_s": 60}) as house:
        await wait_until(house.knows_the_model)
        first = await house.post(OPENAI, {"input": ["one", "the other"]})
        await wait_until(lambda: has_keys(redis_url, 4))
        again = await house.post(OPENAI, {"input": ["one", "the other"]})
        assert but_for_its_id(first) == but_for_its_id(again)
        assert usage(await house.post(OPENAI, {"input": "the other"})) == tokens("the other")
    assert len(upstream.calls) == 1


async def has_keys(redis_url: str, count: int) -> bool:
    async with Redis.from_url(redis_url) as redis:
        return int(await redis.zcard(Keys("house").cache_index)) == count


async def test_what_is_not_plain_is_answered_by_the_upstreams_own_route(redis_url: str, upstream: FakeUpstream) -> None:
    body = b'{"input":"a","dimensions":"many"}'
    async with ready_house(redis_url, upstream.url) as house:
        upstream.passing = (200, "application/json", b'{"object":"list"}')
        assert (await house.post(OPENAI, body, content_type="application/json")).body == b'{"object":"list"}'
        upstream.passing = (422, "text/plain; charset=utf-8", b"Failed to deserialize: input: wrong")
        refused = await house.post("/embeddings", body, content_type="application/json")
    assert [(OPENAI, body, "application/json"), ("/embeddings", body, "application/json")] == upstream.passed
    assert openai_error(refused) == (422, "Validation", "Failed to deserialize: input: wrong")
    assert refused.json["error"]["param"] == "input"


async def test_models_are_listed_by_the_served_name(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = INFO
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(house.knows_the_model)
        listed = (await house.get("/v1/models")).json
        (model,) = listed["data"]
        assert (listed["object"], list(model)[:4]) == ("list", ["id", "object", "created", "owned_by"])
        assert (model["dimension"], model["call_inputs_max"]) == (len(vector("a")), INFO["max_client_batch_size"])
        assert (model["id"], model["object"]) == ("the/model", "model")
        assert (await house.get("/v1/models/the/model")).json == model
        assert (await house.get("/v1/models/the%2Fmodel")).json == model
        missing = await house.get("/v1/models/another")
        assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")
        assert openai_error(await house.post("/v1/models", {}))[:2] == (405, "MethodNotAllowed")


async def test_a_model_is_found_by_any_of_its_names(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = INFO
    async with ready_house(redis_url, upstream.url, proxy={"model_aliases": "embeddings, an/alias"}) as house:
        await wait_until(house.knows_the_model)
        found = [await house.get(f"/v1/models/{name}") for name in ("model", "embeddings", "an/alias")]
        assert (await house.get("/v1/models/alias")).status == 404
    assert [(200, "the/model")] * 3 == [(each.status, each.json["id"]) for each in found]


async def test_while_nobody_told_there_are_no_models(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = None
    async with ready_house(redis_url, upstream.url) as house:
        assert openai_error(await house.get("/v1/models"))[:2] == (503, "Unhealthy")
        assert openai_error(await house.get("/v1/models/any"))[:2] == (503, "Unhealthy")


@pytest.mark.parametrize(
    ("headers", "proxy", "status", "kind"),
    [
        ({"x_request_timeout_ms": "soon"}, {}, 422, "Validation"),
        ({"x_priority": "high"}, {}, 422, "Validation"),
        ({}, {"payload_limit": 1000}, 413, "Validation"),
        ({}, {"max_queue_size": 1}, 429, "Overloaded"),
        ({}, {"api_keys": SecretStr("key")}, 401, "Unauthorized"),
    ],
)
async def test_errors_of_the_proxy_have_openais_shape(
    redis_url: str, upstream: FakeUpstream, headers: dict[str, str], proxy: dict[str, Any], status: int, kind: str
) -> None:
    async with ready_house(redis_url, upstream.url, proxy=proxy) as house:
        for path in (OPENAI, "/embeddings"):
            reply = await house.post(path, {"input": ["a" * 2000, "b"]}, **headers)
            assert openai_error(reply)[:2] == (status, kind)
            assert ("Retry-After" in reply.headers) == (status == 429)
        assert openai_error(await house.get(OPENAI))[0] == (401 if status == 401 else 405)
    assert upstream.calls == []


async def test_a_deadline_has_openais_shape(redis_url: str, upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url) as house:
        reply = await house.post(OPENAI, {"input": "a"}, x_request_timeout_ms="50")
        assert openai_error(reply)[:2] == (504, "Backend")
        gate.opened.set()


async def test_a_model_that_is_not_served_is_refused_where_that_is_asked_for(
    redis_url: str, upstream: FakeUpstream
) -> None:
    upstream.info = INFO
    proxy = {"model_check": "served", "model_aliases": "embeddings, e2"}
    async with ready_house(redis_url, upstream.url, proxy=proxy) as house:
        await wait_until(house.knows_the_model)
        refused = await house.post(OPENAI, {"input": "a", "model": "text-embedding-3-small"})
        taken = [
            await house.post(OPENAI, {"input": "a"} | named)
            for named in ({}, {"model": "the/model"}, {"model": "model"}, {"model": "e2"})
        ]
        elsewhere = await house.embed("a", model="other")

    message = "The model `text-embedding-3-small` does not exist or you do not have access to it."
    error = {"message": message, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    assert (refused.status, refused.json["error"]) == (404, error)
    assert [200] * 4 == [each.status for each in taken]
    assert elsewhere[0] == 200
