"""The handlers: they turn an HTTP request into a call of the engine, and its result into TEI's answer."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from aiohttp import web

from autobatch_embedder import errors
from autobatch_embedder.bodies import reading as bodies
from autobatch_embedder.bodies.requests import EmbedRequest, PredictRequest, RerankRequest
from autobatch_embedder.http.answers import OPENAI_PATHS, dump, info_of, json_answer, measurements, openai_list
from autobatch_embedder.http.scores import predictions, ranks, sparse_rows
from autobatch_embedder.metrics import EmbedderMetrics
from autobatch_embedder.model.engine import Done, Engine
from autobatch_embedder.model.vectors import Vectors, cosines
from autobatch_embedder.model_files.model_folder import SCORING

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
            web.post("/embed", self.embed),
            *(web.post(path, self._of_task) for path in ("/", "/invocations")),
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
        request = await _read(http, bodies.embed_sparse)
        done = await self._engine.embed_sparse(request)
        return json_answer(dump(sparse_rows(done.vectors)), measurements(request.inputs, done))

    async def predict(self, http: web.Request) -> web.Response:
        """POST /predict."""
        request = await _read(http, bodies.predict)
        done = await self._engine.predict(request)
        return json_answer(dump(self._predictions(request, done)), measurements(request.inputs, done))

    async def rerank(self, http: web.Request) -> web.Response:
        """POST /rerank."""
        request = await _read(http, bodies.rerank)
        done = await self._engine.rerank(request)
        pairs = [(request.query, text) for text in request.texts]
        return json_answer(dump(ranks(request, done.vectors)), measurements(pairs, done))

    async def vertex(self, http: web.Request) -> web.Response:
        """POST /vertex. All instances run, then the first failure is the answer."""
        is_of_classifier = self._engine.task in SCORING
        instances = await _read(http, partial(bodies.vertex, is_of_classifier=is_of_classifier))
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

    @property
    def _of_task(self) -> Callable[[web.Request], Awaitable[web.Response]]:
        """What the paths without a name of their own stand for."""
        by_task = {"classifier": self.predict, "reranker": self.rerank, "splade": self.embed_sparse}
        return by_task.get(self._engine.task, self.embed)

    def _predictions(self, request: PredictRequest, done: Done[Vectors]) -> object:
        found = predictions(done.vectors, self._engine.model.folder.labels)
        return found if request.is_batch else found[0]

    async def _prediction(self, request: EmbedRequest | PredictRequest | RerankRequest) -> bytes:
        if isinstance(request, RerankRequest):
            return dump(ranks(request, (await self._engine.rerank(request)).vectors))
        if isinstance(request, PredictRequest):
            return dump(self._predictions(request, await self._engine.predict(request)))
        if self._engine.task == "splade":
            return dump(sparse_rows((await self._engine.embed_sparse(request)).vectors))
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
