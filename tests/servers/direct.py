"""What a server computes of a text alone, asked without the proxy."""

from collections.abc import Sequence
from typing import Any

import aiohttp
import numpy as np

from autobatch_batcher.dialects.base import WantedModel
from autobatch_batcher.dialects.triton import Triton
from autobatch_batcher.upstreams.clients.grpc_client import GrpcClient
from tests.servers.model_server import InferenceServer

Vector = Any  # (components,) float32


async def vectors_of(server: InferenceServer, texts: Sequence[str], model: str = "minilm") -> list[Vector]:
    """Return the vector of each text, each from a call of its own."""
    by_api = _over_grpc if server.url.startswith("grpc://") else _over_openai
    return await by_api(server, texts, model)


async def _over_grpc(server: InferenceServer, texts: Sequence[str], model: str) -> list[Vector]:
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


async def _over_openai(server: InferenceServer, texts: Sequence[str], model: str) -> list[Vector]:
    """Vectors as arrays of numbers, where the proxy asks for base64."""
    vectors = []
    async with aiohttp.ClientSession() as http:
        for text in texts:
            asked = {"input": text, "model": model}
            async with http.post(f"{server.url}{server.api_root}/embeddings", json=asked) as answer:
                assert answer.status == 200, await answer.text()
                (listed,) = (await answer.json())["data"]
            vectors.append(np.array(listed["embedding"], np.float32))
    return vectors
