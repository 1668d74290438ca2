"""A server with OpenAI's API as the upstream: here the embedder by its `/v1/embeddings`, which lists no models."""

import asyncio

import aiohttp
import orjson
import pytest

from autobatch_embedder.app import serving
from autobatch_embedder.model.loaded_model import Model
from tests.support.house import ready_house
from tests.support.servers.embedder_server import sender, settings

TEXTS = [f"text number {number}" for number in range(40)]


async def test_each_client_gets_its_own_vector_by_either_api(
    redis_url: str, model: Model, client: aiohttp.ClientSession
) -> None:
    async with serving(settings(), model) as port:
        _, _, direct = await sender(client, port)("POST", "/embed", {"inputs": TEXTS[:32]})
        async with ready_house(redis_url, f"http://127.0.0.1:{port}/v1", inference_dialect="openai") as house:
            answers = await house.embed_each(TEXTS[:32])
            listed = await house.post("/v1/embeddings", {"input": TEXTS, "model": "any"})
            refused = await asyncio.gather(
                house.post("/embed_sparse", {"inputs": "a"}), house.post("/embed", {"inputs": "a", "normalize": False})
            )

    vectors = [pytest.approx(vector, abs=1e-5) for vector in orjson.loads(direct)]
    assert vectors == [rows[0] for status, rows in answers if status == 200]
    assert vectors == [each["embedding"] for each in listed.json["data"][:32]]
    assert listed.json["usage"]["total_tokens"] > len(TEXTS)
    assert [424, 422] == [answer.status for answer in refused]
