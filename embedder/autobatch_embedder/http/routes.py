"""The handlers: they turn an HTTP request into a call of the engine, and its result into TEI's answer."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from autobatch_embedder.bodies import reading as bodies
from autobatch_embedder.bodies.requests import EmbedRequest, RerankRequest
from autobatch_embedder.http import errors
from autobatch_embedder.http.answers import OPENAI_PATHS, dump, info_of, json_answer, measurements, openai_list
from autobatch_embedder.metrics import EmbedderMetrics
from autobatch_embedder.model.engine import Engine
from autobatch_embedder.model.vectors import cosines

R = TypeVar("R")


class Routes:
    """Handlers of one server."""

    def __init__(self, engine: Engine, metrics: EmbedderMetrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._info = dump(info_of(engine))

    def table(self) -> list[web.RouteDef]:
        """Every path and method."""
        return [
            *(web.post(path, self.embed) for path in ("/embed", "/", "/invocations")),
            web.post("/embed_all", self.embed_all),
            web.post("/embed_sparse", self.embed_sparse),
            *(web.post(path, self.openai) for path in OPENAI_PATHS),
            web.post("/similarity", self.similarity),
            web.post("/predict", self.predict),
            web.post("/rerank", self.rerank),
            web.post("/vertex", self.vertex),
            web.post("/tokenize", self.tokenize),
            web.post("/decode", self.decode),
            web.get("/info", self.info),
            *(web.get(path, self.health) for path in ("/health", "/", "/ping")),
            web.get("/metrics", self.metrics),
        ]

    async def embed(self, http: web.Request) -> web.Response:
        """POST /embed."""
        request = await _read(http, bodies.embed)
        done = await self._engine.embed(request)
        return json_answer(dump(done.vectors), measurements(request.inputs, done))

    async def embed_all(self, http: web.Request) -> web.Response:
        """POST /embed_all."""
        request = await _read(http, bodies.embed_all)
        done = await self._engine.embed_all(request)
        return json_answer(dump(done.vectors), measurements(request.inputs, done))

    async def openai(self, http: web.Request) -> web.Response:
        """POST /v1/embeddings."""
        request = await _read(http, bodies.openai)
        done = await self._engine.embed(request.embed)
        model = self._engine.model.folder.model_id
        body = openai_list(done.vectors, model, done.tokens, is_base64=request.is_base64)
        return json_answer(body, measurements(request.embed.inputs, done))

    async def similarity(self, http: web.Request) -> web.Response:
        """POST /similarity."""
        request = await _read(http, bodies.similarity)
        if len(request.inputs) == 1:
            raise errors.empty_list("inputs.sentences")
        done = await self._engine.embed(request)
        return json_answer(dump(cosines(done.vectors)), measurements(request.inputs, done))

    async def embed_sparse(self, http: web.Request) -> web.Response:
        """POST /embed_sparse."""
        self._engine.refuse_sparse(await _read(http, bodies.embed_sparse))

    async def predict(self, http: web.Request) -> web.Response:
        """POST /predict."""
        self._engine.refuse_predict(await _read(http, bodies.predict))

    async def rerank(self, http: web.Request) -> web.Response:
        """POST /rerank."""
        self._engine.refuse_rerank(await _read(http, bodies.rerank))

    async def vertex(self, http: web.Request) -> web.Response:
        """POST /vertex. All instances run, then the first failure is the answer."""
        instances = await _read(http, bodies.vertex)
        results = await asyncio.gather(*map(self._prediction, instances), return_exceptions=True)
        predictions = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            predictions.append(result)
        return json_answer(b'{"predictions":[%b]}' % b",".join(predictions))

    async def tokenize(self, http: web.Request) -> web.Response:
        """POST /tokenize."""
        return json_answer(dump(await self._engine.tokenize(await _read(http, bodies.tokenize))))

    async def decode(self, http: web.Request) -> web.Response:
        """POST /decode."""
        return json_answer(dump(await self._engine.decode(await _read(http, bodies.decode))))

    async def info(self, _http: web.Request) -> web.Response:
        """GET /info."""
        return json_answer(self._info)

    async def health(self, _http: web.Request) -> web.Response:
        """GET /health. Does not wait behind running passes, unlike TEI's."""
        await self._engine.check_health()
        return web.Response()

    async def metrics(self, _http: web.Request) -> web.Response:
        """GET /metrics."""
        return web.Response(body=self._metrics.render(), headers={"content-type": "text/plain; charset=utf-8"})

    async def _prediction(self, request: EmbedRequest | RerankRequest) -> bytes:
        if isinstance(request, RerankRequest):
            self._engine.refuse_rerank(request)
        return dump((await self._engine.embed(request)).vectors)


async def _read(http: web.Request, parse: Callable[[bytes], R]) -> R:
    content_type = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = content_type.startswith("application/") and content_type.endswith(("/json", "+json"))
    if not is_json:
        raise errors.wrong_content_type()
    try:
        body = await http.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise errors.body_too_long() from error
    return parse(body)
