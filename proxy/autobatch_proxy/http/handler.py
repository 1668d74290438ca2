"""The routes at which something is computed: a body in, its jobs' replies from the client, an answer out."""

import asyncio
import logging
import time

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.dialects.error_shapes import OPENAI_ERRORS
from autobatch_proxy.dialects.model_check import ModelCheck
from autobatch_proxy.dialects.tei import read_verbatim
from autobatch_proxy.http.answers import JSON, answer, error_response
from autobatch_proxy.http.errors import FrameworkError, TooLarge, TooSlow
from autobatch_proxy.http.headers import (
    PRIORITY_HEADER,
    TIMEOUT_HEADER,
    CommonHeaders,
    asks_bulk,
    is_json,
    model_lines,
    timeout_s,
)
from autobatch_proxy.http.route_table import READERS, Route
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.queue.client import JobClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.one_model import ask_one_model
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.requests.plan import Rules
from autobatch_proxy.requests.planner import make_plan
from autobatch_shared.contract.errors import AutobatchError

log = logging.getLogger(__name__)

TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Compute:
    """The handlers of these routes in one worker.

    Args:
        rules: How this worker plans requests.
        timeout_max_ms: The deadline of a request that asks for no shorter one, in milliseconds.
        client: Is asked for the replies to a plan's jobs.
        uncached: Is asked for them where none may be of the cache.
        watcher: Knows what the upstreams allow.
        metrics: Counts this worker's requests and answers.
        share: Counts the requests that share no call.
        common: Writes the headers of every answer.
        model_check: Refuses what the OpenAI routes are asked of other models; None: it is computed.
    """

    def __init__(
        self,
        rules: Rules,
        timeout_max_ms: int,
        client: JobClient,
        uncached: JobClient,
        watcher: FleetWatcher,
        metrics: WorkerMetrics,
        share: AloneShare,
        common: CommonHeaders,
        model_check: ModelCheck | None = None,
    ) -> None:
        self._model_check = model_check
        self._rules = rules
        self._timeout_max_ms = timeout_max_ms
        self._client = client
        self._uncached = uncached
        self._watcher = watcher
        self._metrics = metrics
        self._share = share
        self._common = common

    def handler(self, route: Route) -> Handler:
        """Return the handler of a route."""
        path, errors = route.path, route.errors

        async def handle(request: web.Request) -> web.StreamResponse:
            started_s = time.perf_counter()
            response: web.StreamResponse
            try:
                response = await self._answer(request, route, started_s)
            except AutobatchError as error:
                response = error_response(error, errors)
            except FrameworkError as error:
                body, headers = (error.text, TEXT) if errors is None else (errors.write(error.status, error.text), JSON)
                response = web.Response(status=error.status, body=body, headers=headers)
            except Exception:  # a fault of ours: its text goes to the log only, and the client reads a 500
                log.exception("request_failed_unforeseen", extra={"request_id": self._common.request_id(request)})
                response = error_response(AutobatchError(), errors)
            status = response.status
            if status >= 500:
                log.warning(
                    "request_failed",
                    extra={"request_id": self._common.request_id(request), "route": path, "status": status},
                )
            self._metrics.answered(path, status, time.perf_counter() - started_s)
            return response

        return handle

    async def _answer(self, request: web.Request, route: Route, started_s: float) -> web.StreamResponse:
        headers = request.headers
        content_type = headers.get("Content-Type")
        if route.unless_json is not None and not is_json(content_type):
            raise route.unless_json  # before the body is read, as the upstream does it
        body = await self._body(request)
        is_bulk = asks_bulk(headers.get(PRIORITY_HEADER))
        allowed = self._watcher.allowed
        read = route.read or READERS.get(allowed.alias, read_verbatim)
        asked = read(body)
        if self._model_check is not None and route.errors is OPENAI_ERRORS:
            self._model_check.check(asked, body, allowed.served_model)
        plan = make_plan(
            asked,
            body,
            content_type,
            route.path,
            self._rules,
            allowed,
            asks_bulk=is_bulk,
            form=route.form,
        )
        if plan.alone is None:
            self._share.together += 1
        else:
            self._share.note(plan.alone)
            self._metrics.shares_no_call(route.path, plan.alone)
        if len(plan.jobs) == 1:
            replies = await self._client.ask(plan, self._timeout_s(request))
        else:
            replies = await ask_one_model(self._client, self._uncached, plan, self._timeout_s(request))
        ms = int((time.perf_counter() - started_s) * 1000)
        request_id = self._common.request_id(request)
        lines = self._common.lines(request, request_id) + self._model_lines(replies[0][0].model)
        return answer(plan, replies, request_id, lines, ms, route.errors)

    def _model_lines(self, fingerprint: str) -> bytes:
        name = self._watcher.names.get(fingerprint)
        if name is None:
            if not fingerprint:
                return b""
            self._watcher.look_now(fingerprint)
            name = ""
        return model_lines(fingerprint, name)

    async def _body(self, request: web.Request) -> bytes:
        """Read the body; one that has not arrived yet may take as long as the request may."""
        if (request.content_length or 0) > request.client_max_size:
            raise TooLarge  # and not only when so much of it has come
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
