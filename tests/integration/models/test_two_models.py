"""Two models behind one address: each request is computed by the model that it names, and by no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
import pytest

from autobatch_proxy.models import directory
from autobatch_proxy.queue import fleet_watcher
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, HttpAnswer, open_house
from tests.support.waiting import wait_until

SMALL, LARGE = "small", "BAAI/large"
OPENAI = "/v1/embeddings"


def large_vector(text: str) -> list[float]:
    """The vector of the other model: twice as long."""
    return [-each for each in vector(text)] * 2


def large_rows(texts: list[str]) -> bytes:
    return orjson.dumps([large_vector(text) for text in texts])


@asynccontextmanager
async def two_models(
    redis_url: str, proxy: dict[str, Any] | None = None, **of_small: Any
) -> AsyncIterator[tuple[House, FakeUpstream, FakeUpstream]]:
    """A worker and a batcher of each model, once both are known."""
    small, large = FakeUpstream(), FakeUpstream(rows=large_rows)
    async with AsyncExitStack() as stack:
        for upstream in (small, large):
            await upstream.start()
            stack.push_async_callback(upstream.stop)
        house = await stack.enter_async_context(open_house(redis_url, **proxy or {}))
        await house.add_batcher(small.url, served_model_name=SMALL, **of_small)
        await house.add_batcher(large.url, served_model_name=LARGE, model_aliases="big, big:latest")
        await wait_until(lambda: serves(house, SMALL, LARGE))
        yield house, small, large


async def serves(house: House, *names: str) -> bool:
    """Whether these models are healthy."""
    return {(await house.get(f"/{name}/health")).status for name in names} == {200}


def embedded(answer: HttpAnswer) -> Any:
    """The one vector of an answer of OpenAI's shape."""
    assert answer.status == 200, answer.body
    return answer.json["data"][0]["embedding"]


def refusal(answer: HttpAnswer) -> tuple[int, str | None]:
    """Status and code of an error of OpenAI's shape."""
    return answer.status, answer.json["error"]["code"]


async def test_the_model_field_chooses(redis_url: str) -> None:
    async with two_models(redis_url) as (house, _, _):
        small, large, alias, tagged = [
            await house.post(OPENAI, {"input": "a", "model": name}) for name in (SMALL, LARGE, "big", "big:latest")
        ]
        other = await house.post(OPENAI, {"input": "a", "model": "text-embedding-3-small"})
        none = await house.post(OPENAI, {"input": "a"})

    assert embedded(small) == vector("a")
    assert [embedded(each) for each in (large, alias, tagged)] == [large_vector("a")] * 3
    assert [each.json["model"] for each in (small, large, alias)] == [SMALL, LARGE, LARGE]
    assert refusal(other) == (404, "model_not_found")
    assert none.status == 400
    assert "`BAAI/large`, `small`" in none.json["error"]["message"]


async def test_the_path_chooses(redis_url: str) -> None:
    async with two_models(redis_url) as (house, _, large):
        paths = ("/small/embed", "/BAAI/large/embed", "/BAAI%2Flarge/embed", "/big/embed", "/BAAI/large", "/big/")
        found = [await house.post(path, {"inputs": ["a", "b"]}) for path in paths]
        openai = await house.post("/BAAI/large/v1/embeddings", {"input": "a", "model": LARGE})
        tokens = await house.post("/BAAI/large/tokenize", {"inputs": "a b"})
        other = await house.post("/other/v1/embeddings", {"input": "a"})
        refused = [
            await house.ask(*asked)
            for asked in (
                ("POST", "/BAAI/embed", {"inputs": "a"}),
                ("POST", "/small/small/embed", {"inputs": "a"}),
                ("POST", "/small/nothing", {"inputs": "a"}),
                ("GET", "/small/embed"),
                ("POST", "/embed", {"inputs": "a"}),
            )
        ]

    assert found[0].json == [vector("a"), vector("b")]
    assert [each.json for each in found[1:]] == [[large_vector("a"), large_vector("b")]] * 5
    assert embedded(openai) == large_vector("a")
    assert tokens.status == 200
    assert len(large.tokenized) == 1
    assert [each.status for each in refused] == [404, 404, 404, 405, 400]
    assert refused[0].json == {
        "error": "The model `BAAI` does not exist or you do not have access to it.",
        "error_type": "NotFound",
    }
    assert refused[3].headers["Allow"] == "POST"
    assert refusal(other) == (404, "model_not_found")


async def test_the_header_chooses(redis_url: str) -> None:
    async with two_models(redis_url) as (house, _, _):
        small, large = [await house.post("/embed", {"inputs": "a"}, x_model=name) for name in (SMALL, "big")]
        other = await house.post("/embed", {"inputs": "a"}, x_model="other")
        two = [
            await house.post("/small/embed", {"inputs": "a"}, x_model=LARGE),
            await house.post("/small/v1/embeddings", {"input": "a", "model": LARGE}),
        ]

    assert (small.json, large.json) == ([vector("a")], [large_vector("a")])
    assert (other.status, other.json["error_type"]) == (404, "NotFound")
    assert [each.status for each in two] == [422, 422]


async def test_what_names_no_model_is_for_the_default(redis_url: str) -> None:
    async with two_models(redis_url, model_is_default=True) as (house, _, _):
        answers = [await house.post("/embed", {"inputs": "a"}), await house.post("/", {"inputs": "a"})]
        openai = await house.post(OPENAI, {"input": "a"})
        info = await house.get("/info")

    assert answers[0].json == [vector("a")]
    assert answers[1].status == 200
    assert embedded(openai) == vector("a")
    assert info.status == 200


async def test_requests_are_counted_for_their_model(redis_url: str) -> None:
    async with two_models(redis_url) as (house, _, _):
        for path in ("/small/embed", "/big/embed", "/big/embed"):
            await house.post(path, {"inputs": "a"})
        metrics = await house.metrics()

    assert f'autobatch_http_requests_total{{code="200",model="{SMALL}",route="/embed"}} 1.0' in metrics
    assert f'autobatch_http_requests_total{{code="200",model="{LARGE}",route="/embed"}} 2.0' in metrics
    assert f'autobatch_http_request_duration_seconds_count{{code="200",model="{LARGE}",route="/embed"}} 2.0' in metrics


async def test_models_are_listed_with_what_is_known_of_them(redis_url: str) -> None:
    async with two_models(redis_url) as (house, _, _):
        listed = (await house.get("/v1/models")).json["data"]
        one = (await house.get("/v1/models/big")).json
        below = (await house.get("/BAAI/large/v1/models")).json["data"]
        missing = await house.get("/v1/models/other")
        status = (await house.get("/status")).json

    assert [(each["id"], each["dimension"], each["call_inputs_max"]) for each in listed] == [
        (LARGE, len(large_vector("a")), 32),
        (SMALL, len(vector("a")), 32),
    ]
    assert one == listed[0]
    assert below == listed[:1]
    assert missing.status == 404
    assert list(status["models"]) == [LARGE, SMALL]


async def test_the_cache_of_one_model_answers_for_no_other(redis_url: str) -> None:
    async with two_models(redis_url, {"cache_ttl_s": 60}) as (house, small, large):

        async def is_cached() -> bool:
            small.calls.clear()
            large.calls.clear()
            answers = [await house.post(f"/{name}/embed", {"inputs": "a"}) for name in (SMALL, LARGE)]
            assert [each.json for each in answers] == [[vector("a")], [large_vector("a")]]
            return small.calls == large.calls == []

        await wait_until(is_cached)


async def test_a_model_appears_with_its_first_batcher_and_waits_for_its_next(redis_url: str) -> None:
    small, large = FakeUpstream(), FakeUpstream(rows=large_rows)
    await small.start()
    await large.start()
    async with open_house(redis_url) as house:
        await house.add_batcher(small.url, served_model_name=SMALL)
        await wait_until(lambda: serves(house, SMALL))
        before = [await house.post("/BAAI/large/embed", {"inputs": "a"}), await house.post("/embed", {"inputs": "a"})]
        any_name = await house.post(OPENAI, {"input": "a", "model": "text-embedding-3-small"})

        batcher = await house.add_batcher(large.url, served_model_name=LARGE)
        await wait_until(lambda: serves(house, SMALL, LARGE))
        now = await house.post("/BAAI/large/embed", {"inputs": "a"})
        none = await house.post("/embed", {"inputs": "a"})
        await batcher.stop()
        waiting = asyncio.create_task(house.post("/BAAI/large/embed", {"inputs": "b"}))
        await wait_until(lambda: house.holds(1))
        await house.add_batcher(large.url, served_model_name=LARGE)
        later = await waiting
    await small.stop()
    await large.stop()

    assert [each.status for each in before] == [404, 200]
    assert embedded(any_name) == vector("a")
    assert (now.json, later.json) == ([large_vector("a")], [large_vector("b")])
    assert none.status == 400


async def test_a_model_goes_with_its_last_batcher_and_gives_its_requests_to_no_other(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "KNOWN_MS", 5000)
    monkeypatch.setattr(fleet_watcher, "ABSENT_AFTER_S", 4.0)
    async with two_models(redis_url) as (house, small, _):
        default = await house.add_batcher(small.url, served_model_name="first", model_is_default=True)
        await wait_until(lambda: serves(house, "first"))
        await default.stop()

        async def is_gone() -> bool:
            return (await house.post("/first/embed", {"inputs": "a"})).status == 404

        assert (await house.post("/first/embed", {"inputs": "a"}, x_request_timeout_ms="100")).status in (503, 504)
        await wait_until(is_gone)
        small.calls.clear()
        answers = [
            await house.post("/embed", {"inputs": "a"}),
            await house.post(OPENAI, {"input": "a"}),
            await house.post(OPENAI, {"input": "a", "model": "first"}),
        ]

        async def are_the_others_listed() -> bool:  # on a busy machine their reports may be late, too
            listed = await house.get("/v1/models")
            return listed.status == 200 and [each["id"] for each in listed.json["data"]] == [LARGE, SMALL]

        await wait_until(are_the_others_listed)

    assert [each.status for each in answers] == [503, 503, 404]
    assert small.calls == []


async def test_the_unnamed_model_keeps_what_is_its_own_beside_others(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = {"model_id": "the/own", "max_client_batch_size": 32}
    async with two_models(redis_url, {"model_aliases": "mine"}) as (house, _, _):
        await house.add_batcher(upstream.url)
        await wait_until(house.knows_the_model)
        upstream.calls.clear()
        own = [
            await house.post("/embed", {"inputs": "a"}),
            *[await house.post(OPENAI, {"input": "a", "model": name}) for name in ("the/own", "own", "mine")],
            *[await house.post(f"/{name}/embed", {"inputs": "a"}) for name in ("the/own", "own", "mine")],
        ]
        other = await house.post(OPENAI, {"input": "a", "model": "text-embedding-3-small"})
        large = await house.post(OPENAI, {"input": "a", "model": LARGE})
        listed = (await house.get("/v1/models")).json["data"]

    assert [each.status for each in own] == [200] * 7
    assert upstream.calls == [["a"]] * 7
    assert refusal(other) == (404, "model_not_found")
    assert embedded(large) == large_vector("a")
    assert [each["id"] for each in listed] == ["the/own", LARGE, SMALL]


@pytest.mark.parametrize("path", ["/nosuch/info", "/nosuch/status", "/nosuch/health", "/nosuch/v1/models"])
async def test_a_page_below_a_name_that_no_model_has_says_so(redis_url: str, path: str) -> None:
    async with two_models(redis_url) as (house, _, _):
        answer = await house.get(path)
    assert answer.status == 404
    assert "The model `nosuch` does not exist" in answer.body.decode()


async def test_one_model_below_a_name_that_no_model_has_is_refused_as_its_route_refuses(redis_url: str) -> None:
    async with two_models(redis_url) as (house, _, _):
        answers = [await house.get(f"/nosuch/v1/models/{name}") for name in ("x", "org/x", SMALL)]
    assert [refusal(answer) for answer in answers] == [(404, "model_not_found")] * 3


async def test_health_is_of_any_model_and_below_a_name_of_that_one(redis_url: str) -> None:
    """A balancer that took workers out for the default alone would take the others' clients their model."""
    async with two_models(redis_url) as (house, small, _):
        default = await house.add_batcher(small.url, served_model_name="first", model_is_default=True)
        await wait_until(lambda: serves(house, "first"))
        await default.stop()

        async def is_unhealthy() -> bool:
            return (await house.get("/first/health")).status != 200

        await wait_until(is_unhealthy)
        health, ready = await house.get("/health"), await house.get("/ready")
    assert (health.status, ready.status) == (200, 200)


async def test_below_an_alias_of_two_models_every_page_and_route_is_refused(redis_url: str) -> None:
    async with two_models(redis_url, model_aliases="big") as (house, _, _):
        pages = ("health", "ping", "status", "info", "v1/models", ".well-known/ready")
        read = [await house.get(f"/big/{page}") for page in pages]
        sent = [await house.post(f"/big{path}", {"input": "a", "inputs": "a"}) for path in ("/embed", OPENAI)]

    assert [(page, answer.status) for page, answer in zip(pages, read, strict=True)] == [(page, 404) for page in pages]
    assert all("is an alias of `BAAI/large`, `small`" in answer.body.decode() for answer in read)
    assert [answer.status for answer in sent] == [404, 404]
    assert refusal(sent[1]) == (404, "model_not_found")


async def test_the_document_has_the_404_of_each_route_that_is_asked_for_a_model_by_the_header(redis_url: str) -> None:
    """Of routes that do not read the header, the document has no such parameter."""
    async with two_models(redis_url) as (house, _, _):
        paths = (await house.get("/api-doc/openapi.json")).json["paths"]
        asked = [
            (path, method, operation, await house.ask(method.upper(), path, _body_of(operation), x_model="nobody"))
            for path, operations in paths.items()
            for method, operation in operations.items()
            if "{" not in path
        ]
    read = {(path, method) for path, method, _, answer in asked if answer.status == 404}
    has = {(path, method) for path, method, operation, _ in asked if "Model" in str(operation["parameters"])}

    assert read == has
    assert len(read) > 20
    assert all("404" in operation["responses"] for path, method, operation, _ in asked if (path, method) in read)


def _body_of(operation: Any) -> Any:
    """The first example of an operation's request; None where it has none."""
    if "requestBody" not in operation:
        return None
    return next(iter(operation["requestBody"]["content"]["application/json"]["examples"].values()))["value"]


async def test_what_two_models_claim_is_in_the_log_and_in_the_status_before_anybody_asks(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with two_models(redis_url) as (house, small, _):
        before = (await house.get("/status")).json
        await house.add_batcher(small.url, served_model_name="third", model_aliases="big")
        await wait_until(lambda: serves(house, "third"))
        after = (await house.get("/status")).json

    clash = f"`big` is an alias of several models: `{LARGE}`, `third`"
    assert (before["clashes"], after["clashes"]) == ([], [clash])
    assert [record.__dict__["clash"] for record in caplog.records if record.message == "models_clash"] == [clash]


async def test_the_document_and_its_page_are_below_a_models_name_too(redis_url: str) -> None:
    async with two_models(redis_url) as (house, _, _):
        answers = [await house.get(f"/{LARGE}{path}") for path in ("/docs/", "/api-doc/openapi.json")]
    assert [answer.status for answer in answers] == [200, 200]
