"""The handlers: an HTTP request to a call of the engine, and its result to TEI's answer."""

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

import orjson
from aiohttp import web

from embedder import errors
from embedder.engine import Embedded, Engine
from embedder.metrics import Metrics
from embedder.requests import EmbedRequest, parse_embed, parse_tokenize

CONTRACT_VERSION = "1.9.3"  # the TEI whose answers these are; clients choose their behaviour by it

R = TypeVar("R")


class Routes:
    """Handlers of one server."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._info = orjson.dumps(_info(engine))

    def table(self) -> list[web.RouteDef]:
        """Every path and method."""
        return [
            *(web.post(path, self.embed) for path in ("/embed", "/", "/invocations")),
            web.post("/tokenize", self.tokenize),
            web.get("/info", self.info),
            *(web.get(path, self.health) for path in ("/health", "/", "/ping")),
            web.get("/metrics", self.metrics),
        ]

    async def embed(self, http: web.Request) -> web.Response:
        """POST /embed."""
        started_s = perf_counter()
        request = await _read(http, parse_embed)
        method = "batch" if request.is_batch else "single"
        self._metrics.requests.labels(method).inc()
        done = await self._engine.embed(request)
        body = orjson.dumps(done.vectors, option=orjson.OPT_SERIALIZE_NUMPY)
        total_s = perf_counter() - started_s
        self._metrics.successes.labels(method).inc()
        self._metrics.duration_s.observe(total_s)
        self._metrics.tokenization_s.observe(done.tokenization_s)
        self._metrics.queue_s.observe(done.queue_s)
        self._metrics.inference_s.observe(done.inference_s)
        return _json(body, _measurements(request, done, total_s))

    async def tokenize(self, http: web.Request) -> web.Response:
        """POST /tokenize."""
        return _json(orjson.dumps(await self._engine.tokenize(await _read(http, parse_tokenize))))

    async def info(self, _http: web.Request) -> web.Response:
        """GET /info."""
        return _json(self._info)

    async def health(self, _http: web.Request) -> web.Response:
        """GET /health. Does not wait behind running passes, unlike TEI's."""
        await self._engine.check_health()
        return web.Response()

    async def metrics(self, _http: web.Request) -> web.Response:
        """GET /metrics."""
        return web.Response(body=self._metrics.render(), headers={"content-type": "text/plain; charset=utf-8"})


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


def _json(body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, headers={"content-type": "application/json", **(headers or {})})


def _measurements(request: EmbedRequest, done: Embedded, total_s: float) -> dict[str, str]:
    """TEI's x-headers. TEI says `gpu+optimized` even on a CPU; that one is told as it is."""
    total_ms = _ms(total_s)
    return {
        "x-compute-type": "cpu",
        "x-compute-time": total_ms,
        "x-compute-characters": str(sum(map(len, request.inputs))),
        "x-compute-tokens": str(done.tokens),
        "x-total-time": total_ms,
        "x-tokenization-time": _ms(done.tokenization_s),
        "x-queue-time": _ms(done.queue_s),
        "x-inference-time": _ms(done.inference_s),
    }


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))


def _info(engine: Engine) -> dict[str, object]:
    """TEI's flat object, in its order."""
    folder, limits = engine.model.folder, engine.limits
    return {
        "model_id": folder.model_id,
        "model_sha": None,
        "model_dtype": "float32",
        "served_model_name": folder.model_id,
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_concurrent_requests": limits.inputs_max,
        "max_input_length": folder.tokens_max,
        "max_batch_tokens": limits.batch_inputs_max * folder.tokens_max,
        "max_batch_requests": limits.batch_inputs_max,
        "max_client_batch_size": limits.batch_inputs_max,
        "auto_truncate": limits.truncate,
        "tokenization_workers": engine.tokenizer_threads,
        "version": CONTRACT_VERSION,
        "sha": None,
        "docker_label": None,
    }
