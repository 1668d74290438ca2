"""The routes at which something is computed: a body in, its jobs' replies from the client, an answer out."""

import asyncio
import logging
import time
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.account import ACCOUNT, TRACE, account_of
from autobatch_proxy.dialects.model_check import ModelCheck, model_named_in
from autobatch_proxy.dialects.tei import read_verbatim
from autobatch_proxy.http.answers import JSON, answer, error_response
from autobatch_proxy.http.bodies import BodyRoom, read_body
from autobatch_proxy.http.earlier_tries import EarlierTries
from autobatch_proxy.http.errors import FrameworkError
from autobatch_proxy.http.headers import (
    PRIORITY_HEADER,
    START_HEADER,
    TIMEOUT_HEADER,
    CommonHeaders,
    asks_bulk,
    is_json,
    model_lines,
    timeout_s,
)
from autobatch_proxy.http.named_models import MODEL, names_of
from autobatch_proxy.http.route_table import READERS, Route
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.models.model_end import ModelEnd
from autobatch_proxy.models.served_models import Models
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.queue.one_model import ask_one_model
from autobatch_proxy.request_log import RequestLog
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.requests.asked import AnyAsked, Reader
from autobatch_proxy.requests.oversize import LOOK_ABOVE_BYTES, refuse_too_many
from autobatch_proxy.requests.plan import Origin, Plan
from autobatch_proxy.requests.planner import make_plan
from autobatch_shared.contract.errors import AnswerTooLarge, AutobatchError, DeadlineExceeded

log = logging.getLogger(__name__)

REASON = web.RequestKey("reason", str)  # why it is answered with an error
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Compute:
    """The handlers of these routes in one worker.

    Args:
        models: The models that this worker can ask.
        room: Is there for the bodies of this worker's requests.
        timeout_max_ms: The deadline of a request that asks for no shorter one, in milliseconds.
        check: Refuses what is asked of other models; None: it is computed.
        metrics: Counts this worker's requests and answers.
        share: Counts the requests that share no call.
        common: Writes the headers of every answer.
        requests: The log of single requests.
    """

    def __init__(
        self,
        models: Models,
        room: BodyRoom,
        timeout_max_ms: int,
        check: ModelCheck | None,
        metrics: WorkerMetrics,
        share: AloneShare,
        common: CommonHeaders,
        requests: RequestLog,
    ) -> None:
        self._models = models
        self._unnamed = models.unnamed
        self._room = room
        self._earlier_tries = EarlierTries()
        self._timeout_max_ms = timeout_max_ms
        self._check = check
        self._metrics = metrics
        self._share = share
        self._common = common
        self._requests = requests

    def handler(self, route: Route) -> Handler:
        """Return the handler of a route."""
        path, errors = route.path, route.errors

        async def handle(request: web.Request) -> web.StreamResponse:
            started_s = time.perf_counter()
            response: web.StreamResponse
            reason = ""
            try:
                response = await self._answer(request, route, started_s)
            except AutobatchError as error:
                response, reason = error_response(error, errors), error.code
                # Its frames hold the request, whose futures hold the error: with its body it would wait for the collector.
                error.__traceback__ = None
            except FrameworkError as error:
                body, headers = (error.text, TEXT) if errors is None else (errors.write(error.status, error.text), JSON)
                response, reason = web.Response(status=error.status, body=body, headers=headers), "unread_body"
            except asyncio.CancelledError:
                self._requests.left(request, path, time.perf_counter() - started_s)
                raise
            except Exception as error:  # a fault of ours: its text goes to the log only, and the client reads a 500
                log.exception("request_failed_unforeseen", extra=self._requests.names_of(request))
                response = error_response(AutobatchError(), errors)
                error.__traceback__ = None  # as above
            status = response.status
            if status >= 400:
                self._metrics.refused(path, reason or request.get(REASON, AutobatchError.code))
            if status >= 500:
                log.warning(
                    "request_failed", extra={**self._requests.names_of(request), "route": path, "status": status}
                )
            spent_s = time.perf_counter() - started_s
            if spent_s >= self._requests.slow_s:
                self._requests.slow(request, path, status, spent_s)
            model = request.get(MODEL, "") if self._models.are_named else ""
            self._metrics.answered(path, status, spent_s, model)
            return response

        return handle

    async def _answer(self, request: web.Request, route: Route, started_s: float) -> web.StreamResponse:
        headers = request.headers
        content_type = headers.get("Content-Type")
        if route.unless_json is not None and not is_json(content_type):
            raise route.unless_json  # before the body is read, as the upstream does it
        held = self._room.admit(request)
        try:
            whole_s = timeout_s(headers.get(TIMEOUT_HEADER), self._timeout_max_ms)
            start = headers.get(START_HEADER)
            if start is not None:
                whole_s -= self._earlier_tries.spent_s(start, request.remote or "", whole_s)
            body = await read_body(request, held, whole_s)
            end, asked = self._unnamed, None
            if self._models.are_named:
                end, asked = await self._choose(request, route, body, _left_s(whole_s, started_s))
            bulk = asks_bulk(headers.get(PRIORITY_HEADER))
            request_id = self._common.request_id(request)
            origin = Origin(request_id, request.get(TRACE, {})) if self._requests.is_traced else Origin(request_id)
            plan = self._plan(body, content_type, route, end, asked, origin, asks_bulk=bulk)
            body_bytes = len(body)
            del body, asked  # the plan has what is needed of it, and the request may wait for long
            if plan.largest_id is not None:
                await end.vocabulary.check(plan.largest_id, _left_s(whole_s, started_s))
            left_s = _left_s(whole_s, started_s)
            replies: list[Reply] = []
            try:
                if len(plan.jobs) == 1:
                    replies = await end.clients.usual.ask(plan, left_s)
                else:
                    replies = await ask_one_model(end.clients, plan, left_s)
            finally:
                spent_s = time.perf_counter() - started_s
                if spent_s >= self._requests.account_from_s:
                    request[ACCOUNT] = account_of(plan, replies, body_bytes, end.watcher)
            ms = int(spent_s * 1000)
            self._metrics.replied(replies[0][0], sum([job.n for job in plan.jobs]), body_bytes, spent_s)
            lines = self._common.lines(request, request_id) + _model_lines(end.watcher, replies[0][0].model)
            response = answer(plan, replies, request_id, lines, ms, route.errors)
            if response.status >= 400:
                request[REASON] = _reason(replies)
            return response
        finally:
            held.release()

    async def _choose(
        self, request: web.Request, route: Route, body: bytes, left_s: float
    ) -> tuple[ModelEnd, AnyAsked | None]:
        """Return the model that a request is for, and what its body asks for where that was read for it."""
        outside = names_of(request)
        if route.read is None:  # how its body is read depends on the model
            asked, inside = None, None
        else:
            asked = self._read(route.read, body)
            inside = model_named_in(asked, body) if route.names_model else None
        end = await self._models.choose(outside, inside, left_s, is_checked=self._check is not None)
        request[MODEL] = end.name
        return end, asked if self._models.are_named else None

    def _read(self, read: Reader, body: bytes) -> AnyAsked:
        if len(body) > LOOK_ABOVE_BYTES and read is not read_verbatim:
            refuse_too_many(body, self._unnamed.rules.request_inputs_max)
        return read(body)

    def _plan(
        self,
        body: bytes,
        content_type: str | None,
        route: Route,
        end: ModelEnd,
        asked: AnyAsked | None,
        origin: Origin,
        *,
        asks_bulk: bool,
    ) -> Plan:
        """Return the plan of a body, which is read here if it was not yet."""
        allowed = end.watcher.allowed
        if asked is None:
            asked = self._read(route.read or READERS.get(allowed.alias, read_verbatim), body)
            if self._check is not None and route.names_model:
                self._check.check(asked, body, allowed.served_model)
        plan = make_plan(
            asked,
            body,
            content_type,
            route.path,
            end.rules,
            allowed,
            asks_bulk=asks_bulk,
            form=route.form,
            origin=origin,
        )
        if plan.alone is None:
            self._share.together += 1
        else:
            self._share.note(plan.alone)
            self._metrics.shares_no_call(route.path, plan.alone)
        return plan


def _reason(replies: Sequence[Reply]) -> str:
    """Why one of the replies is an error."""
    failed = [header for header, _ in replies if header.fault or header.status != 200]
    if not failed:
        return AnswerTooLarge.code  # or their rows do not fit together
    return failed[0].fault or f"upstream_{failed[0].status}"


def _model_lines(watcher: FleetWatcher, fingerprint: str) -> bytes:
    name = watcher.names.get(fingerprint)
    if name is None:
        if not fingerprint:
            return b""
        watcher.look_now(fingerprint)
        name = ""
    return model_lines(fingerprint, name)


def _left_s(whole_s: float, started_s: float) -> float:
    left_s = whole_s - (time.perf_counter() - started_s)
    if left_s <= 0:
        raise DeadlineExceeded
    return left_s
