"""The whole system in the test's own event loop: worker, batchers, a real Redis, a fake upstream.

No process can die here.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from pydantic import SecretStr

from autobatch_batcher.app import serve
from autobatch_proxy.app import make_runner
from autobatch_shared.settings.definitions import BatcherSettings, ProxySettings
from tests.support.waiting import wait_until

Json = Any


@dataclass
class HttpAnswer:
    """An answer as the client received it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body."""
        return orjson.loads(self.body)


class House:
    """One worker and its batchers.

    Attributes:
        url: Of the worker.
        http: A client without limits.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession, redis_url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.http = http
        self._redis_url = redis_url
        self._stack = stack

    async def add_batcher(self, inference_url: str, **settings: Any) -> "Batcher":
        """Start a batcher; it is stopped with the house unless it was before."""
        return await self.add_batcher_of({"inference_url": inference_url} | settings)

    async def add_batcher_of(self, *models: dict[str, Any]) -> "Batcher":
        """Start one batcher that serves a model by each of these settings."""
        common = {
            "redis_url": SecretStr(self._redis_url),
            "namespace": "house",
            "lease_ms": 20_000,  # no batcher dies here, and one that a busy machine holds up keeps its jobs
            "upstream_attempts": 2,
            "batcher_host": "127.0.0.1",
            "batcher_port": 0,
        }
        batcher = Batcher(
            [BatcherSettings.model_construct(**defaults_of(BatcherSettings) | common | each) for each in models]
        )
        self._stack.push_async_callback(batcher.stop)
        return batcher

    async def ask(self, method: str, path: str, body: Json = None, **headers: str) -> HttpAnswer:
        """Send a request; return what comes back. A body is JSON unless it is bytes or a BytesIO; `_` in a header's name is `-`.

        Bytes are sent without a content type unless `content_type` is given.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body
        if body is not None and not isinstance(body, bytes | BytesIO):
            data, sent = orjson.dumps(body), {"content-type": "application/json"} | sent
        async with self.http.request(
            method, self.url + path, data=data, headers=sent, skip_auto_headers=["Content-Type"]
        ) as answer:
            return HttpAnswer(answer.status, answer.headers, await answer.read())

    async def post(self, path: str, body: Json, **headers: str) -> HttpAnswer:
        """POST."""
        return await self.ask("POST", path, body, **headers)

    async def get(self, path: str, **headers: str) -> HttpAnswer:
        """GET."""
        return await self.ask("GET", path, **headers)

    async def holds(self, inputs: int) -> bool:
        """Whether this many inputs are in flight."""
        return f"autobatch_in_flight_inputs {inputs}.0" in await self.metrics()

    async def knows_the_model(self) -> bool:
        """Whether a batcher has reported the upstream's model."""
        return (await self.get("/info")).status == 200

    async def embed(self, inputs: Json, headers: dict[str, str] | None = None, **options: Json) -> tuple[int, Json]:
        """POST /embed; return status and decoded body."""
        async with self.http.post(
            f"{self.url}/embed", json={"inputs": inputs} | options, headers=headers or {}
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def embed_each(self, texts: Sequence[str]) -> list[tuple[int, Json]]:
        """POST each text at once, on its own."""
        return await asyncio.gather(*(self.embed(text) for text in texts))

    async def is_healthy(self) -> bool:
        """Whether /health is green."""
        async with self.http.get(f"{self.url}/health") as answer:
            return answer.status == 200

    async def metrics(self) -> str:
        """The worker's metrics."""
        async with self.http.get(f"{self.url}/metrics") as answer:
            return await answer.text()


class Batcher:
    """One batcher as a task."""

    def __init__(self, settings: Sequence[BatcherSettings]) -> None:
        self._stopped = asyncio.Event()
        self._task = asyncio.create_task(serve(settings, self._stopped))

    async def stop(self) -> None:
        """Drain and end."""
        self._stopped.set()
        await self._task


@asynccontextmanager
async def open_house(redis_url: str, **settings: Any) -> AsyncIterator[House]:
    """Start a worker on a free port; batchers are added by the test."""
    proxy = ProxySettings.model_construct(
        **defaults_of(ProxySettings) | {"redis_url": SecretStr(redis_url), "namespace": "house"} | settings
    )
    limit_s = max(60.0, 2 * proxy.request_timeout_ms / 1000)
    async with AsyncExitStack() as stack:
        runner: web.AppRunner = await make_runner(proxy)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        port = runner.addresses[0][1]
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=limit_s))
        )
        yield House(f"http://127.0.0.1:{port}", http, redis_url, stack)


@asynccontextmanager
async def ready_house(
    redis_url: str, inference_url: str, *, proxy: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[House]:
    """A house with one batcher, once it is healthy."""
    async with open_house(redis_url, **proxy or {}) as house:
        await house.add_batcher(inference_url, **settings)
        await wait_until(house.is_healthy)
        yield house


@asynccontextmanager
async def left_house(redis_url: str, inference_url: str, **settings: Any) -> AsyncIterator[House]:
    """A house whose only batcher has just stopped: for some seconds requests wait for another one."""
    async with open_house(redis_url, **settings) as house:
        batcher = await house.add_batcher(inference_url)
        await wait_until(house.is_healthy)
        await batcher.stop()
        yield house


def defaults_of(cls: type[BatcherSettings] | type[ProxySettings]) -> dict[str, Any]:
    """Return every setting of a process at its default."""
    return {name: field.default for name, field in cls.model_fields.items()}
