"""One model behind one name: whatever changes behind it, no answer has rows of two, and none is of another model."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from autobatch_batcher.dialects.base import Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.clients.http_connections import open_sessions
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_bench.checking.oracle import answer
from autobatch_shared.contract.errors import UpstreamChanged
from autobatch_shared.contract.keys import Keys
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, ready_house
from tests.support.paid.paid_api import PaidApi
from tests.support.waiting import wait_until

OTHER_MODEL = {"model_id": "other", "max_client_batch_size": 32, "max_concurrent_requests": 512}
TEXTS = [f"text {number}" for number in range(100)]


def short_rows(texts: list[str]) -> bytes:
    """The rows of another model."""
    return orjson.dumps([[0.25, float(len(text))] for text in texts])


def become_another(upstream: FakeUpstream) -> None:
    upstream.info, upstream.rows = OTHER_MODEL, short_rows


async def model_of(house: House) -> str | None:
    return (await house.post("/embed", {"inputs": "which model?"})).headers.get("x-model")


async def excluded(house: House) -> list[str]:
    """Return why upstreams are not called."""
    batchers = orjson.loads((await house.get("/status")).body)["batchers"]
    return sorted({each["reason"] for batcher in batchers for each in batcher["upstreams"] if each["reason"]})


async def test_an_upstream_of_another_model_is_not_called(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    """The first one named is the namespace's."""
    become_another(other)
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        assert [(200, [vector(text)]) for text in TEXTS] == await house.embed_each(TEXTS)
        assert (200, [vector(text) for text in TEXTS]) == await house.embed(TEXTS)
        await wait_until(lambda: excluded(house))
        (reason,) = await excluded(house)
        health = await house.get("/health")
    assert other.calls == []
    assert (200, b"") == (health.status, health.body), "it needs no key, and names no model and no URL"
    assert "it serves other" in reason
    assert "not fake" in reason
    assert "dimension 2 and not 384" in reason


async def test_so_it_is_where_only_the_length_of_its_rows_says_so(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    upstream.info = other.info = None
    other.rows = short_rows
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        assert [(200, [vector(text)]) for text in TEXTS] == await house.embed_each(TEXTS)
    assert other.calls == []


async def test_one_whose_rows_were_of_another_length_for_a_while_is_called_again(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    """Its card never changed, and without a call only a question shows what its rows are now."""

    async def is_excluded() -> bool:
        assert [(200, [vector(text)]) for text in TEXTS] == await house.embed_each(TEXTS)
        return any("dimension 2 and not 384" in reason for reason in await excluded(house))

    async def is_called() -> bool:
        assert [(200, [vector(text)]) for text in TEXTS] == await house.embed_each(TEXTS)
        return bool(other.calls)

    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        other.rows = short_rows
        await wait_until(is_excluded)
        other.calls.clear()
        other.rows = answer
        await wait_until(is_called)


async def dialects(house: House) -> set[str | None]:
    """Return the APIs by which upstreams are called."""
    batchers = (await house.get("/status")).json["batchers"]
    return {each["dialect"] for batcher in batchers for each in batcher["upstreams"]}


async def test_one_that_is_replaced_by_a_server_with_another_api_is_called_by_that(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """What was asked while neither was there is computed by the second, and by its API."""
    paid = PaidApi(root="/v1", vector_of=lambda text: [-each for each in vector(text)])
    async with ready_house(redis_url, upstream.url, inference_api_key=SecretStr(paid.key)) as house:
        assert [(200, [vector(text)]) for text in TEXTS] == await house.embed_each(TEXTS)
        assert await dialects(house) == {"tei"}
        await upstream.stop()
        asking = [asyncio.create_task(house.embed(text)) for text in TEXTS]
        await wait_until(lambda: house.holds(len(TEXTS)))
        async with paid.listening(port=upstream.port):
            answers = await asyncio.gather(*asking)
            await wait_until(house.is_healthy)
            said = await dialects(house)
            last = await house.post("/embed", {"inputs": TEXTS})

    assert [(200, [paid.vector_of(text)]) for text in TEXTS] == answers
    assert last.json == [paid.vector_of(text) for text in TEXTS]
    assert (said, last.headers["x-model"]) == ({"openai"}, "minilm")


async def test_two_deployments_of_one_namespace_do_not_mix(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    become_another(other)
    async with ready_house(redis_url, upstream.url) as house:
        await house.add_batcher(other.url)
        await wait_until(lambda: excluded(house))
        assert [(200, [vector(text)]) for text in TEXTS] == await house.embed_each(TEXTS)
    assert other.calls == []


async def test_one_that_becomes_another_model_is_excluded_before_an_answer_of_it_is_used(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        await wait_until(lambda: other.info_asked)
        await other.stop()
        become_another(other)
        await other.start()
        for _ in range(10):
            assert [(200, [vector(text)]) for text in TEXTS] == await house.embed_each(TEXTS)
        await wait_until(lambda: excluded(house))


async def test_an_upstream_that_changes_without_an_outage_is_known_by_its_rows(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        before = await house.post("/embed", {"inputs": "one"})
        upstream.rows = short_rows  # behind a connection that stays open, as behind a balancer
        after = await house.post("/embed", {"inputs": "one"})

    assert (before.json, after.json) == ([vector("one")], [[0.25, 3.0]])
    assert before.headers["x-model-fingerprint"] != after.headers["x-model-fingerprint"]


async def test_the_namespace_moves_once_the_whole_fleet_has_changed(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    urls = f"{upstream.url},{other.url}"
    async with ready_house(redis_url, urls) as house:
        await house.add_batcher(urls)
        await wait_until(lambda: other.info_asked > 1)
        fingerprints = []

        async def ask_on() -> None:
            while True:
                answer = await house.post("/embed", {"inputs": TEXTS})
                assert answer.status == 200
                assert len({len(row) for row in answer.json}) == 1
                fingerprints.append(answer.headers["x-model-fingerprint"])

        asking = asyncio.create_task(ask_on())
        await wait_until(lambda: len(fingerprints) > 3)
        for each in (upstream, other):
            become_another(each)
            await wait_until(lambda: excluded(house) if each is upstream else len(set(fingerprints)) > 1)  # noqa: B023
        last = fingerprints[-1]
        asked = len(fingerprints)
        await wait_until(lambda: len(fingerprints) > asked + 5)
        asking.cancel()
        assert await model_of(house) == "other"
        assert set(fingerprints[asked:]) == {last}
        assert sum(a != b for a, b in itertools.pairwise(fingerprints)) == 1


async def test_an_answer_has_the_name_of_the_model_that_computed_it(redis_url: str, upstream: FakeUpstream) -> None:
    """Also the first ones of a new model, of which the worker has not heard otherwise."""
    async with ready_house(redis_url, upstream.url) as house:
        for name, rows in (("other", short_rows), ("fake", answer)):
            await upstream.stop()
            upstream.info, upstream.rows = {**OTHER_MODEL, "model_id": name}, rows
            await upstream.start()
            said = await asyncio.gather(
                house.post("/v1/embeddings", {"input": "one"}), house.post("/v1/embeddings", {"input": TEXTS})
            )
            assert {(each.status, each.json["model"], each.headers["x-model"]) for each in said} == {(200, name, name)}


async def test_a_redis_that_lost_its_data_changes_no_model(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    become_another(other)
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        async with Redis.from_url(redis_url) as redis:
            before = await redis.get(Keys("house").model)
            await redis.flushall()
            await wait_until(lambda: redis.exists(Keys("house").model))
            after = await redis.get(Keys("house").model)
            assert await redis.pttl(Keys("house").model) > 0
        await wait_until(house.is_healthy)
        assert await model_of(house) == "fake"
    assert before == after
    assert other.calls == []


async def test_a_limit_that_was_lowered_without_an_outage_refuses_no_list(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """The workers cut by the old limit until they have heard of the new one, and the batcher does until it has asked."""
    async with ready_house(redis_url, upstream.url) as house:
        assert (200, [vector(text) for text in TEXTS]) == await house.embed(TEXTS)
        assert upstream.info is not None
        upstream.info["max_client_batch_size"] = 8
        upstream.calls.clear()
        for _ in range(5):
            assert (200, [vector(text) for text in TEXTS[:32]]) == await house.embed(TEXTS[:32])
        await wait_until(lambda: len(upstream.calls[-1]) == 8)


async def test_a_bad_input_in_a_piece_is_refused_as_it_is_whole(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        assert upstream.info is not None
        upstream.info["max_client_batch_size"] = 8
        status, error = await house.embed([*TEXTS[:30], "poison"])

    assert (status, error["error"]) == (422, "Input validation error: poison")


async def test_a_changed_model_is_not_answered_from_the_cache(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"cache_ttl_s": 60}) as house:
        await house.embed("one")
        become_another(upstream)
        await wait_until(lambda: is_model(house, "other"))
        assert await house.embed("one") == (200, [[0.25, 3.0]])


async def is_model(house: House, name: str) -> bool:
    return await model_of(house) == name


@asynccontextmanager
async def probed(upstream: FakeUpstream) -> AsyncIterator[Replica]:
    """An upstream that has said what it is, without a fleet."""
    async with open_sessions() as (session, fresh):
        client = HttpClient(session, upstream.url, None, fresh=fresh)
        replica = Replica(upstream.url, client, [Tei()], configured(32, 10**6), Tuner(1))
        await replica.prober.probe()
        yield replica


@pytest.mark.parametrize("is_probed_first", [False, True])
async def test_a_restart_is_noticed_whatever_made_the_first_connection_after_it(
    upstream: FakeUpstream, *, is_probed_first: bool
) -> None:
    """The call may use a connection that a look at the health has left."""
    call = Post("/embed", b'{"inputs":["one"]}')
    async with probed(upstream) as replica:
        assert (await replica.call(call, 5)).status == 200
        await upstream.stop()
        upstream.info = OTHER_MODEL  # whose rows are equally long
        await upstream.start()
        if is_probed_first:
            assert await replica.listens()

        with pytest.raises(UpstreamChanged):
            await replica.call(call, 5)

        assert not replica.is_included
        assert replica.standing.counts_for(asyncio.get_running_loop().time())
        await replica.prober.probe()
        assert (await replica.call(call, 5)).status == 200


@pytest.mark.parametrize("is_seen_by_a_probe", [False, True])
async def test_one_that_was_away_behind_a_balancer_is_asked_again_though_the_connection_was_kept(
    upstream: FakeUpstream, *, is_seen_by_a_probe: bool
) -> None:
    call = Post("/embed", b'{"inputs":["one"]}')
    async with probed(upstream) as replica:
        connected_s = replica.client.connected_s
        upstream.refuses = dict.fromkeys(("/embed", "/info", "/health"), 502)
        if is_seen_by_a_probe:
            await replica.prober.probe()
        else:
            assert (await replica.call(call, 5)).status == 502
        upstream.info, upstream.refuses = OTHER_MODEL, {}  # whose rows are equally long

        with pytest.raises(UpstreamChanged):
            await replica.call(call, 5)

        assert replica.client.connected_s == connected_s


async def test_one_without_a_card_is_known_by_the_length_of_its_rows(upstream: FakeUpstream) -> None:
    upstream.info = None
    async with probed(upstream) as replica:
        assert replica.standing.served is not None
        assert replica.dimension == len(vector("a"))


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_an_upstream_that_refuses_to_say_what_it_serves_is_not_called_another_model(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """A balancer's, or a key that was changed: the log, `/status` and the client are told the status."""
    async with probed(upstream) as replica:
        upstream.refuses = {"/info": status, "/embed": status}
        replica.client.connected_s = asyncio.get_running_loop().time() + 0.001

        with pytest.raises(
            UpstreamChanged, match=f"does not say what it serves: it answers {status} to /info"
        ) as raised:
            await replica.call(Post("/embed", b'{"inputs":["one"]}'), 5)

    assert raised.value.cause == replica.standing.reason
    assert "upstream_excluded" in caplog.messages


@pytest.mark.parametrize("paths", [("/info", "/embed", "/health", "/v1/models"), ("/info",)], ids=["all", "/info"])
async def test_a_page_in_place_of_what_it_serves_is_an_invalid_answer_and_no_other_model(
    upstream: FakeUpstream, paths: tuple[str, ...]
) -> None:
    """Such as the login page of a proxy that stands before it."""
    async with probed(upstream) as replica:
        before = replica.standing.served
        assert before is not None
        replica.standing.follow(before)
        upstream.refuses = dict.fromkeys(paths, 200)  # with nothing in it
        for _ in range(2):
            await replica.prober.probe()
            assert ("invalid answer", False) == (replica.trouble, replica.is_usable)

        upstream.refuses = {}
        await replica.prober.probe()
        assert (before, True) == (replica.standing.served, replica.is_usable)


async def test_a_page_from_the_start_is_an_invalid_answer_too(upstream: FakeUpstream) -> None:
    upstream.refuses = dict.fromkeys(("/info", "/embed", "/health", "/v1/models"), 200)
    async with probed(upstream) as replica:
        assert ("invalid answer", False) == (replica.trouble, replica.is_usable)
