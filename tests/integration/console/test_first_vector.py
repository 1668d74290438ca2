"""One vector through a real worker, Redis and batcher, and what is said while there is none."""

import hashlib

import pytest
from pydantic import SecretStr

from autobatch_console.supervising.first_vector import FirstVectorError, first_vector
from autobatch_shared.settings.definitions import UP_KEY
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import open_house, ready_house
from tests.support.waiting import wait_until

KEY = "up's own"
HASHED = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
LIMIT_S = 60.0


async def waits_for(url: str, fault: str, said: list[str], model: str = "") -> bool:
    """Whether it is given up with this fault within a second, in which a busy machine may have asked nothing yet."""
    said.clear()
    with pytest.raises(FirstVectorError) as raised:
        await first_vector(url, None, 0.7, said.append, model)
    return str(raised.value).startswith(fault)


async def test_what_is_served_is_said_after_a_call_of_the_upstream(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        served = await first_vector(house.url, None, LIMIT_S, print)

    assert len(upstream.calls) == 1
    dimension = len(vector("x"))
    assert (served.model, served.dimension, served.call_inputs_max) == ("fake", dimension, 32)
    assert str(served) == f"fake, {dimension} dimensions, 32 inputs a call, 2048 a request"


async def test_the_cache_does_not_answer_for_the_upstream(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"cache_ttl_s": 60}) as house:
        for _ in range(2):
            await first_vector(house.url, None, LIMIT_S, print)

    assert len(upstream.calls) == 2


@pytest.mark.parametrize("embed_answer", ["tei", "embeddings"])
async def test_each_shape_of_the_answer_is_understood(
    redis_url: str, upstream: FakeUpstream, embed_answer: str
) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"embed_answer": embed_answer}) as house:
        served = await first_vector(house.url, None, LIMIT_S, print)
    assert served.dimension == len(vector("x"))


@pytest.mark.parametrize(
    ("kind", "model_type"),
    [
        ("classifier", {"classifier": {"id2label": {}}}),
        ("reranker", {"reranker": {"id2label": {}}}),
        ("sparse", {"embedding": {"pooling": "splade"}}),
    ],
)
async def test_a_model_of_another_kind_is_asked_what_it_does(
    redis_url: str, upstream: FakeUpstream, kind: str, model_type: dict[str, object]
) -> None:
    assert upstream.info is not None
    upstream.info |= {"model_type": model_type, "max_input_length": 128}
    async with ready_house(redis_url, upstream.url) as house:
        served = await first_vector(house.url, None, LIMIT_S, print)

    assert str(served) == f"fake, {kind}, 32 inputs a call, 2048 a request, 128 tokens an input"


async def test_a_vector_of_nothing_is_none(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.rows = lambda texts: b"[%b]" % b",".join([b"[0.1,null]"] * len(texts))
    async with ready_house(redis_url, upstream.url) as house:
        with pytest.raises(FirstVectorError, match=r"components that are not numbers \(null\)"):
            await first_vector(house.url, None, LIMIT_S, print)


async def test_the_key_of_up_opens_what_asks_for_one(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(UP_KEY, HASHED)
    async with ready_house(redis_url, upstream.url, proxy={"api_keys": SecretStr("users")}) as house:
        assert (await first_vector(house.url, KEY, LIMIT_S, print)).model == "fake"
        with pytest.raises(FirstVectorError, match="401"):
            await first_vector(house.url, None, LIMIT_S, print)


async def test_what_is_waited_for_is_said_once_until_it_changes(redis_url: str, upstream: FakeUpstream) -> None:
    said: list[str] = []
    async with open_house(redis_url) as house:
        await wait_until(lambda: waits_for(house.url, "no vector within 1 s: a batcher's report", said))
        assert said == ["a batcher's report"]

        await house.add_batcher(upstream.url)
        assert (await first_vector(house.url, None, LIMIT_S, said.append)).model == "fake"
        assert len(said) <= 3


async def test_nobody_listening_is_waited_for_until_the_time_is_over(unused_port: int) -> None:
    said: list[str] = []
    await wait_until(lambda: waits_for(f"http://127.0.0.1:{unused_port}", "no vector within 1 s: an answer", said))
    assert said == [f"an answer of http://127.0.0.1:{unused_port} (ClientConnectorError)"]


async def test_each_of_several_models_is_asked_by_its_name(redis_url: str, upstream: FakeUpstream) -> None:
    other = FakeUpstream(rows=lambda texts: b"[%b]" % b",".join([b"[0.5,0.5]"] * len(texts)))
    await other.start()
    said: list[str] = []
    async with open_house(redis_url) as house:
        await house.add_batcher(upstream.url, served_model_name="small")
        await house.add_batcher(other.url, served_model_name="org/other")
        dimensions = [
            (await first_vector(house.url, None, LIMIT_S, said.append, name)).dimension
            for name in ("small", "org/other")
        ]
        await wait_until(lambda: waits_for(house.url, "no vector of third within 1 s: 404", said, "third"))
    await other.stop()

    assert dimensions == [len(vector("x")), 2]
    assert said[-1].startswith("third: 404 ")
