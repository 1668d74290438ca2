"""A stand-in for the upstream, and the only one: vectors name their text, and it fails when told to.

It is no model. What it keeps of TEI is the shape of requests, answers and errors, the limits, and that one bad input
fails a whole call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from bench.oracle import answer, row

POISON = "poison"
JSON = {"Content-Type": "application/json"}

Behaviour = Callable[[list[str]], Awaitable[web.StreamResponse | None]]


def vector(text: str) -> list[float]:
    """Return what a client must get for this text."""
    values: list[float] = orjson.loads(row(text))
    return values


def tei_error(status: int, message: str, error_type: str) -> web.Response:
    """Return an error as TEI makes it."""
    return web.Response(status=status, body=orjson.dumps({"error": message, "error_type": error_type}), headers=JSON)


@dataclass
class FakeUpstream:
    """One server in the test's own loop.

    Attributes:
        calls: The inputs of every `/embed` call, in order of arrival.
        bodies: Their bodies.
        in_flight_max: Most inputs that were being worked on at once.
        calls_in_flight_max: Most calls at once.
        behave: Asked first at every call; None lets the call go on. Replace it to make the upstream fail.
        info: What `/info` says; None is 404.
        info_asked: How often `/info` was asked for.
        is_healthy: What `/health` says.
    """

    calls: list[list[str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    in_flight_max: int = 0
    calls_in_flight_max: int = 0
    behave: Behaviour | None = None
    info: dict[str, Any] | None = field(
        default_factory=lambda: {"model_id": "fake", "max_client_batch_size": 32, "max_concurrent_requests": 512}
    )
    info_asked: int = 0
    is_healthy: bool = True
    port: int = 0
    _in_flight: int = 0
    _calls_in_flight: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; after a stop on the same port again."""
        app = web.Application(client_max_size=2_000_000)
        app.router.add_post("/embed", self._embed)
        app.router.add_get("/health", self._health)
        app.router.add_get("/info", self._info)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=4096, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = orjson.loads(raw)
            inputs = body["inputs"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            return web.Response(status=400, text=f"Failed to parse the request body as JSON: {type(error).__name__}")
        texts = (
            [inputs] if isinstance(inputs, str) else [text if isinstance(text, str) else str(text) for text in inputs]
        )
        self.calls.append(texts)
        self.bodies.append(body)
        self._in_flight += len(texts)
        self._calls_in_flight += 1
        self.calls_in_flight_max = max(self.calls_in_flight_max, self._calls_in_flight)
        self.in_flight_max = max(self.in_flight_max, self._in_flight)
        try:
            if self.behave is not None and (response := await self.behave(texts)) is not None:
                return response
            return self._answer(texts)
        finally:
            self._in_flight -= len(texts)
            self._calls_in_flight -= 1

    def _answer(self, texts: list[str]) -> web.Response:
        limit = (self.info or {}).get("max_client_batch_size", 1000)
        if len(texts) > limit:
            return tei_error(422, f"batch size {len(texts)} > maximum allowed batch size {limit}", "Validation")
        if not texts or "" in texts:
            return tei_error(400, "Input validation error: `inputs` cannot be empty", "Empty")
        for text in texts:
            if text.startswith(POISON):
                return tei_error(422, f"Input validation error: {text}", "Validation")
        return web.Response(body=answer(texts), headers=JSON)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self.is_healthy else 503)

    async def _info(self, _request: web.Request) -> web.Response:
        self.info_asked += 1
        return web.Response(status=404) if self.info is None else web.json_response(self.info)


class Gate:
    """A behaviour that holds calls until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def __call__(self, _texts: list[str]) -> None:
        await self.opened.wait()
