"""The fake of the upstream, and the only one: vectors name their text, and it fails on demand.

It is not a model. Like TEI, it has the same formats of requests, answers and errors, the same limits, and one bad
input fails a whole call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from autobatch_batcher.dialects.base import SAMPLE_TEXT
from autobatch_bench.checking.oracle import answer, row

POISON = "poison"
DIMENSION_TEXT = orjson.loads(SAMPLE_TEXT)
JSON = {"Content-Type": "application/json"}

VOCABULARY = 100  # the valid token ids

#: The other routes' answers to one input. The input of `/predict`, one or two texts in a list, is passed as its text.
OTHER_ROWS: dict[str, Callable[[str], Any]] = {
    "/embed_all": lambda text: [vector(text)] * tokens(text),
    "/embed_sparse": lambda text: [{"index": len(text), "value": 0.5}],
    "/predict": lambda text: [{"score": 0.5, "label": text}],
}

Behaviour = Callable[[list[str]], Awaitable[web.StreamResponse | None]]


def vector(text: str) -> list[float]:
    """Return the vector that a client must get for this text."""
    values: list[float] = orjson.loads(row(text))
    return values


def tokens(text: str) -> int:
    """Return the tokens of this text: its words, and two special tokens."""
    return len(text.split()) + 2


def tei_error(status: int, message: str, error_type: str) -> web.Response:
    """Return an error in TEI's format."""
    return web.Response(status=status, body=orjson.dumps({"error": message, "error_type": error_type}), headers=JSON)


@dataclass
class FakeUpstream:
    """One server in the test's own loop.

    Attributes:
        calls: The inputs of every `/embed` call, in order of arrival.
        bodies: Their bodies.
        traceparents: Their `traceparent`; empty where they had none.
        in_flight_max: The most inputs in flight at once.
        overloads: Calls that it refused, because its inputs in flight would have been more than it takes.
        calls_in_flight_max: The most calls in flight at once.
        behave: Called first at every call; after None the call continues. Replace it to make the upstream fail.
        tokenized: The texts of every `/tokenize` call.
        tokenize_status: What `/tokenize` answers.
        decoded: The ids of every `/decode` call.
        passed: Path, body and content type of every call of the routes that it answers with `passing`.
        passing: Status, content type and body of their answer.
        scoring: Makes the body instead, from the path and the request.
        info: The answer of `/info`; None is 404.
        info_asked: How often `/info` was requested.
        is_healthy: Whether `/health` answers 200.
        is_draining: Whether it takes no new connection, and closes each that there is after an answer.
        rows: Makes the body of `/embed`; another model's are others.
        refuses: The status by which it answers each request of a path, whatever is asked.
    """

    calls: list[list[str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    traceparents: list[str] = field(default_factory=list)
    in_flight_max: int = 0
    calls_in_flight_max: int = 0
    overloads: int = 0
    behave: Behaviour | None = None
    tokenized: list[list[str]] = field(default_factory=list)
    tokenize_status: int = 200
    decoded: list[int] = field(default_factory=list)
    passed: list[tuple[str, bytes, str | None]] = field(default_factory=list)
    passing: tuple[int, str, bytes] = (200, "application/json", b'[{"index":0,"score":0.5}]')
    scoring: Callable[[str, Any], Any] | None = None
    info: dict[str, Any] | None = field(
        default_factory=lambda: {"model_id": "fake", "max_client_batch_size": 32, "max_concurrent_requests": 512}
    )
    info_asked: int = 0
    is_healthy: bool = True
    is_draining: bool = False
    rows: Callable[[list[str]], bytes] = answer
    refuses: dict[str, int] = field(default_factory=dict)
    port: int = 0
    _in_flight: int = 0
    _calls_in_flight: int = 0
    _runner: web.AppRunner | None = None
    _site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; after a stop, on the same port again."""
        app = web.Application(client_max_size=2_000_000, middlewares=[self._refuse])
        app.on_response_prepare.append(self._close_if_draining)
        self.is_draining = False
        for path in ("/embed", "/embed_all", "/embed_sparse", "/predict"):
            app.router.add_post(path, self._embed)
        for path in ("/", "/invocations", "/rerank", "/similarity", "/vertex", "/v1/embeddings", "/embeddings"):
            app.router.add_post(path, self._pass)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/decode", self._decode)
        app.router.add_get("/health", self._health)
        app.router.add_get("/info", self._info)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=4096, reuse_address=True)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def drain(self) -> None:
        """Begin to stop, as at a SIGTERM: answer the calls in flight, and refuse new connections."""
        self.is_draining = True
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _refuse(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        status = self.refuses.get(request.path)
        return await handler(request) if status is None else web.Response(status=status)

    async def _close_if_draining(self, _request: web.Request, response: web.StreamResponse) -> None:
        if self.is_draining:
            response.force_close()

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
        if texts == [DIMENSION_TEXT]:  # what a batcher asks of its own
            return web.Response(body=self.rows(texts), headers=JSON)
        self.calls.append(texts)
        self.bodies.append(body)
        self.traceparents.append(request.headers.get("traceparent", ""))
        if self._in_flight + len(texts) > (self.info or {}).get("max_concurrent_requests", 10**6):
            self.overloads += 1
            return tei_error(429, "Model is overloaded", "Overloaded")
        self._in_flight += len(texts)
        self._calls_in_flight += 1
        self.calls_in_flight_max = max(self.calls_in_flight_max, self._calls_in_flight)
        self.in_flight_max = max(self.in_flight_max, self._in_flight)
        try:
            if self.behave is not None and (response := await self.behave(texts)) is not None:
                return response
            return self._answer(request.path, texts)
        finally:
            self._in_flight -= len(texts)
            self._calls_in_flight -= 1

    def _answer(self, path: str, texts: list[str]) -> web.Response:
        limit = (self.info or {}).get("max_client_batch_size", 1000)
        if len(texts) > limit:
            return tei_error(422, f"batch size {len(texts)} > maximum allowed batch size {limit}", "Validation")
        if not texts or "" in texts:
            return tei_error(400, "Input validation error: `inputs` cannot be empty", "Empty")
        for text in texts:
            if text.startswith(POISON):
                return tei_error(422, f"Input validation error: {text}", "Validation")
        measures = {
            "X-Compute-Type": "fake",
            "X-Compute-Tokens": str(sum(map(tokens, texts))),
            "X-Compute-Characters": str(sum(map(len, texts))),
            "X-Compute-Time": "7",
            "X-Queue-Time": "3",
        }
        body = self.rows(texts) if path == "/embed" else orjson.dumps([OTHER_ROWS[path](text) for text in texts])
        return web.Response(body=body, headers=JSON | measures)

    async def _tokenize(self, request: web.Request) -> web.Response:
        texts = orjson.loads(await request.read())["inputs"]
        self.tokenized.append([texts] if isinstance(texts, str) else texts)
        if self.tokenize_status != 200:
            return web.Response(status=self.tokenize_status)
        body = orjson.dumps([[{"id": 0, "text": "x"}] * tokens(text) for text in self.tokenized[-1]])
        return web.Response(body=body, headers=JSON)

    async def _decode(self, request: web.Request) -> web.Response:
        ((number,),) = orjson.loads(await request.read())["ids"]
        self.decoded.append(number)
        return web.Response(body=orjson.dumps(["x" if number < VOCABULARY else ""]), headers=JSON)

    async def _pass(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.passed.append((request.path, raw, request.headers.get("Content-Type")))
        if self.scoring is not None:
            made = self.scoring(request.path, orjson.loads(raw))
            return made if isinstance(made, web.Response) else web.Response(body=orjson.dumps(made), headers=JSON)
        status, content_type, body = self.passing
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

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
