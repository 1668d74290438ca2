"""What is checked of every server of the Open Inference Protocol: each client gets the vector that the server itself computes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from autobatch_batcher.dialects.base import WantedModel
from autobatch_batcher.dialects.triton import Triton
from autobatch_batcher.upstreams.grpc_client import GrpcClient
from tests.servers.model_server import START_S, InferenceServer
from tests.support.house import House, open_house
from tests.support.waiting import wait_until

BOTH_PADDED = 2e-6  # a text is padded with its companions, which changes the last bits of its vector
WORDS = ["cat", "dog", "sun", "moon", "river", "stone", "window", "paper", "music", "winter"]
TEXTS = [" ".join(WORDS[place % 10 :: 1 + place % 3]) + f" {place}" for place in range(100)]


@asynccontextmanager
async def house_before(
    server: InferenceServer, redis_url: str, model: str = "minilm", **settings: Any
) -> AsyncIterator[House]:
    """A worker and a batcher whose upstream is the server; it may still be starting."""
    async with open_house(redis_url) as house:
        await house.add_batcher(server.url, upstream_model=model, **settings)
        yield house


async def direct(server: InferenceServer, texts: Sequence[str], model: str = "minilm") -> list[Any]:
    """Return the vector of each text as the server computes it alone."""
    (asking,) = Triton.for_upstream(server.url, WantedModel(model))
    async with GrpcClient(server.url, {}) as client:
        said = [await client.fetch(question) for question in asking.ask_card]
        dialect = asking.knowing(asking.card(*(body if status == 200 else b"" for status, body in said)))
        vectors = []
        for text in texts:
            answer = await client.send(dialect.compose("/embed", [f'"{text}"'.encode()], None), 20)
            assert answer.status == 200, answer.body
            (row,) = dialect.cut(answer, "/embed", 1, ())
            vectors.append(np.fromstring(row[1:-1], np.float32, sep=","))
    return vectors


async def check_identity(server: InferenceServer, redis_url: str) -> None:
    """Requests of one text each, all at once."""
    async with house_before(server, redis_url) as house:
        await wait_until(house.is_healthy, START_S)
        answers = await house.embed_each(TEXTS)
        info = (await house.get("/info")).json
    own = await direct(server, TEXTS)

    assert info["model_id"] == "minilm"
    assert {status for status, _ in answers} == {200}
    for (_, (vector,)), expected in zip(answers, own, strict=True):
        assert np.abs(np.array(vector, np.float32) - expected).max() < BOTH_PADDED
    # A vector is nearer to its own text's than any difference that padding makes.
    assert min(np.abs(a - b).max() for place, a in enumerate(own) for b in own[:place]) > 10 * BOTH_PADDED


async def check_crash(server: InferenceServer, redis_url: str) -> None:
    """The server is killed under load and started again: requests wait for it, and get what is theirs."""
    async with house_before(server, redis_url, upstream_attempts=3, upstream_patience_ms=60_000) as house:
        await wait_until(house.is_healthy, START_S)
        own = await direct(server, TEXTS)
        asking = [asyncio.create_task(house.embed(text)) for text in TEXTS]
        await wait_until(lambda: any(each.done() for each in asking))
        server.kill()
        server.start()
        answers = await asyncio.gather(*asking)
        await wait_until(house.is_healthy, START_S)
        status, _ = await house.embed("after")

    assert status == 200
    answered = [(place, body[0]) for place, (code, body) in enumerate(answers) if code == 200]
    assert len(answered) >= 0.9 * len(TEXTS), [code for code, _ in answers]
    for place, vector in answered:
        assert np.abs(np.array(vector, np.float32) - own[place]).max() < BOTH_PADDED
