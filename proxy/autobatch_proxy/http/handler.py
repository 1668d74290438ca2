"""The routes at which something is computed: a body in, jobs to the desk, an answer out."""

import asyncio
import logging
import time

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.dialects import forms as shapes
from autobatch_proxy.dialects.error_shapes import as_json, as_openai
from autobatch_proxy.dialects.foreign_bodies import plan_queries, plan_vectors
from autobatch_proxy.dialects.openai import plan_openai
from autobatch_proxy.dialects.predicting import plan_predict
from autobatch_proxy.dialects.tei import Planner, plan_embed, plan_embed_all, plan_embed_sparse, plan_verbatim
from autobatch_proxy.dialects.tei_lists import plan_decode, plan_rerank, plan_similarity, plan_tokenize
from autobatch_proxy.http.answer_headers import CommonHeaders
from autobatch_proxy.http.answers import JSON, ErrorShape, answer, error_response
from autobatch_proxy.http.errors import FrameworkError, TooLarge, TooSlow, WrongType
from autobatch_proxy.http.request_headers import PRIORITY_HEADER, TIMEOUT_HEADER, asks_bulk, is_json, timeout_s
from autobatch_proxy.metrics import Metrics
from autobatch_proxy.queue.cached_client import Recall
from autobatch_proxy.queue.client import Desk
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.vocabulary import Vocabulary
from autobatch_proxy.requests.alone import Alone, AloneShare
from autobatch_proxy.requests.plan import Plan, Rules
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.settings.definitions import ProxySettings

log = logging.getLogger(__name__)

TEXT = {"Content-Type": "text/plain; charset=utf-8"}


#: What is not here goes on verbatim.
PLANNERS: dict[str, Planner] = {
    "/embed": plan_embed,
    "/embed_all": plan_embed_all,
    "/embed_sparse": plan_embed_sparse,
    "/predict": plan_predict,
    "/v1/embeddings": plan_openai,
    "/embeddings": plan_openai,
    "/v1/embedding": plan_queries,
    "/vectors": plan_vectors,
    "/rerank": plan_rerank,
    "/similarity": plan_similarity,
    "/tokenize": plan_tokenize,
    "/decode": plan_decode,
}
ALIASES = ("/", "/invocations")
VERBATIM = ("/vertex",)
OPENAI = ("/v1/embeddings", "/embeddings")
OTHERS = ("/v1/embedding", "/vectors")  # these look at the content type themselves
PATHS = (*PLANNERS, *ALIASES, *VERBATIM)


class Compute:
    """These routes of one worker."""

    def __init__(
        self,
        settings: ProxySettings,
        rules: Rules,
        desk: Desk,
        recall: Recall | None,
        watcher: FleetWatcher,
        metrics: Metrics,
        share: AloneShare,
        common: CommonHeaders,
    ) -> None:
        self._rules = rules
        self._timeout_max_ms = settings.request_timeout_ms
        self._embed_shape = shapes.EMBED_ANSWERS[settings.embed_answer]
        self._desk = desk
        self._recall = recall
        self._watcher = watcher
        self._metrics = metrics
        self._share = share
        self._common = common
        self._vocabulary = Vocabulary(desk, rules.ruler.vocabulary, lambda: watcher.fleet.model)

    def handler(self, path: str) -> Handler:
        """Return the handler of `POST path`."""
        shape: ErrorShape | None = as_openai if path in OPENAI else None
        if path == "/embed" and self._embed_shape is not None:
            shape = as_json
        is_alias = path in ALIASES

        async def handle(request: web.Request) -> web.StreamResponse:
            started = time.perf_counter()
            response: web.StreamResponse
            try:
                response = await self._answer(request, path, shape, started, is_alias=is_alias)
            except AutobatchError as error:
                response = error_response(error, shape)
            except FrameworkError as error:
                body, headers = (error.text, TEXT) if shape is None else (shape(error.status, error.text), JSON)
                response = web.Response(status=error.status, body=body, headers=headers)
            except Exception:  # a fault of ours: what it says is for us, and the client hears that it is no other's
                log.exception("request_failed_unforeseen", extra={"request_id": self._common.request_id(request)})
                response = error_response(AutobatchError(), shape)
            status = response.status
            if status >= 500:
                log.warning(
                    "request_failed",
                    extra={"request_id": self._common.request_id(request), "route": path, "status": status},
                )
            self._metrics.answered(path, status, time.perf_counter() - started)
            return response

        return handle

    async def _answer(
        self, request: web.Request, path: str, shape: ErrorShape | None, started: float, *, is_alias: bool
    ) -> web.StreamResponse:
        headers = request.headers
        content_type = headers.get("Content-Type")
        if path not in OTHERS and not is_json(content_type):
            raise WrongType  # before the body is read, as the upstream does it
        body = await self._body(request)
        is_bulk = asks_bulk(headers.get(PRIORITY_HEADER))
        allowed = self._watcher.allowed
        planner = PLANNERS.get(allowed.alias if is_alias else path, plan_verbatim)
        plan = planner(body, content_type, self._rules, allowed, asks_bulk=is_bulk)
        if len(body) > allowed.request_bytes_max and _can_go_on(plan, path):
            plan = plan_verbatim(body, content_type, asks_bulk=is_bulk, alone=Alone.TOO_LARGE)
        self._share.note(plan.alone)
        if plan.alone is not None:
            self._metrics.travels_alone(path, plan.alone)
        plan.route = plan.route or path
        if path == "/embed":
            plan.shape = plan.shape or self._embed_shape
        timeout_s = self._timeout_s(request)
        if plan.largest_id is not None:
            checked_from = time.perf_counter()
            await self._vocabulary.check(plan.largest_id, timeout_s)
            timeout_s -= time.perf_counter() - checked_from
        if self._recall is None:
            pieces, replies = plan.pieces, await self._desk.ask(plan, timeout_s)
        else:
            pieces, replies = await self._recall.ask(plan, timeout_s)
        ms = int((time.perf_counter() - started) * 1000)
        request_id = self._common.request_id(request)
        return answer(plan, pieces, replies, request_id, self._common.lines(request, request_id), ms, shape)

    async def _body(self, request: web.Request) -> bytes:
        """Read the body; one that is not here yet may take as long as the request may."""
        if (request.content_length or 0) > request.client_max_size:
            raise TooLarge  # and not when so much of it has come
        try:
            if request.content.is_eof():  # nearly always: it came with its headers
                return await request.read()
            async with asyncio.timeout(self._timeout_s(request)):
                return await request.read()
        except web.HTTPRequestEntityTooLarge as exc:
            raise TooLarge from exc
        except TimeoutError as exc:
            raise TooSlow from exc
        except aiohttp.ClientPayloadError as exc:
            raise FrameworkError from exc

    def _timeout_s(self, request: web.Request) -> float:
        return timeout_s(request.headers.get(TIMEOUT_HEADER), self._timeout_max_ms)


def _can_go_on(plan: Plan, path: str) -> bool:
    """Whether a request that was taken apart means the same to the upstream as it came."""
    return len(plan.pieces) == 1 and plan.pieces[0].kind != "verbatim" and (plan.shape is None or path in OPENAI)
