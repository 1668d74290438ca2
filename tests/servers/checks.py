"""What the tests of every server ask: the proxy before it, and whether a vector is the one that the server itself computes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from tests.servers.direct import Vector
from tests.servers.model_server import START_S, InferenceServer
from tests.support.house import House, open_house
from tests.support.waiting import wait_until

WORDS = ["cat", "dog", "sun", "moon", "river", "stone", "window", "paper", "music", "winter"]
TEXTS = [" ".join(WORDS[place % 10 :: 1 + place % 3]) + f" {place}" for place in range(100)]


@asynccontextmanager
async def house_before(
    server: InferenceServer,
    redis_url: str,
    model: str | None = "minilm",
    *,
    request_timeout_ms: int = 30_000,
    **settings: Any,
) -> AsyncIterator[House]:
    """A worker and a batcher whose upstream is the server; it may still be starting."""
    async with open_house(redis_url, request_timeout_ms=request_timeout_ms) as house:
        await house.add_batcher(server.url, upstream_model=model, **settings)
        yield house


async def check_names_missing_model(server: InferenceServer, redis_url: str, words: str) -> None:
    """An upstream model that the server has not: why it is not called is in `/status`, in these words."""
    async with house_before(server, redis_url) as house:  # so that the server is up
        await wait_until(house.is_healthy, START_S)
    async with house_before(server, redis_url, "nope") as house:
        await wait_until(lambda: says(house, words))
        assert not await house.is_healthy()


def check_same(received: Sequence[Sequence[float]], own: Sequence[Vector], server: InferenceServer) -> None:
    """Each is the vector of its own text."""
    for vector, expected in zip(received, own, strict=True):
        assert np.abs(np.array(vector, np.float32) - expected).max() < server.companions_change


async def answers_again(house: House) -> bool:
    """Whether a text gets its vector."""
    status, _ = await house.embed("cat")
    return status == 200


async def says(house: House, text: str) -> bool:
    """Whether this is why its upstream is not called."""
    return text in str((await house.get("/status")).json)
