"""What is checked of every server: each client gets the vector that the server itself computes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from tests.servers.direct import Vector, vectors_of
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


async def check_identity(server: InferenceServer, redis_url: str) -> None:
    """Requests of one text each, all at once."""
    async with house_before(server, redis_url) as house:
        await wait_until(house.is_healthy, START_S)
        answers = await house.embed_each(TEXTS)
        info = (await house.get("/info")).json
    own = await vectors_of(server, TEXTS)

    assert info["model_id"] == "minilm"
    assert {status for status, _ in answers} == {200}
    check_same([body[0] for _, body in answers], own, server)
    # A vector is nearer to its own text's than any difference that its companions make.
    assert min(np.abs(a - b).max() for place, a in enumerate(own) for b in own[:place]) > 10 * server.companions_change


async def check_crash(server: InferenceServer, redis_url: str) -> None:
    """The server is killed under load and started again: requests wait for it, and get what is theirs."""
    start_ms = int(START_S * 1000)
    async with house_before(
        server, redis_url, request_timeout_ms=start_ms, upstream_attempts=3, upstream_patience_ms=start_ms
    ) as house:
        await wait_until(house.is_healthy, START_S)
        own = await vectors_of(server, TEXTS)
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
    check_same([vector for _, vector in answered], [own[place] for place, _ in answered], server)


async def check_late_call(server: InferenceServer, redis_url: str) -> None:
    """The server stops for a while: the call is given up, and later ones are answered."""
    async with house_before(server, redis_url, upstream_timeout_ms=1_000, upstream_attempts=1) as house:
        await wait_until(house.is_healthy, START_S)
        server.signal(signal.SIGSTOP)
        late, _ = await house.embed("cat")
        server.signal(signal.SIGCONT)

        assert late in (503, 504)
        await wait_until(lambda: answers_again(house), START_S)


async def check_departures(server: InferenceServer, redis_url: str) -> None:
    """Clients that leave take nothing from those that stay."""
    texts = [f"cat {place}" for place in range(20)]
    async with house_before(server, redis_url) as house:
        await wait_until(house.is_healthy, START_S)
        server.signal(signal.SIGSTOP)
        asking = [asyncio.create_task(house.embed(text)) for text in texts]
        await wait_until(lambda: house.holds(len(texts)))
        for each in asking[::2]:
            each.cancel()
        server.signal(signal.SIGCONT)
        answers = await asyncio.gather(*asking[1::2])

    assert {status for status, _ in answers} == {200}
    check_same([body[0] for _, body in answers], await vectors_of(server, texts[1::2]), server)


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
