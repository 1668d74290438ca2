"""The routes at which something is computed: a body in, its jobs' replies from the client, an answer out.

More than 250 lines, because the plain requests are answered by the same steps in another order of waiting.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.account import ACCOUNT, TRACE, account_of
from autobatch_proxy.dialects.model_check import ModelCheck, model_named_in
from autobatch_proxy.dialects.tei import read_verbatim
from autobatch_proxy.http.answers import JSON, AnswerNotes, answer, error_response
from autobatch_proxy.http.bodies import BodyRoom, read_body
from autobatch_proxy.http.earlier_tries import EarlierTries
from autobatch_proxy.http.errors import FrameworkError
from autobatch_proxy.http.headers import (
    ORIGIN_HEADER,
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
from autobatch_proxy.models.planned_request import PlannedRequest, left_until
from autobatch_proxy.models.served_models import Models
from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.queue.one_model import ask_one_model
from autobatch_proxy.request_log import RequestLog
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.requests.asked import AnyAsked, Reader
from autobatch_proxy.requests.oversize import LOOK_ABOVE_BYTES, refuse_too_many
from autobatch_proxy.requests.plan import Plan, RequestNames
from autobatch_proxy.requests.planner import make_plan
from autobatch_shared.contract.errors import AnswerTooLarge, AutobatchError
from autobatch_shared.contract.frames import ReplyHeader

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
        self.models = models
        self._unnamed = models.unnamed
        self.room = room
        self._earlier_tries = EarlierTries()
        self.timeout_max_ms = timeout_max_ms
        self._check = check
        self.metrics = metrics
        self._share = share
        self.common = common
        self.requests = requests

    def handler(self, route: Route) -> Handler:
        """Return the handler of a route."""

        async def handle(request: web.Request) -> web.StreamResponse:
            started_s = time.perf_counter()
            return await self.handled(request, route, started_s, self._answer(request, route, started_s))

        return handle

    async def handled(
        self, request: web.Request, route: Route, started_s: float, answering: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        """Return the answer to a request, whatever comes of answering it, and count it."""
        path, errors = route.path, route.errors
        response: web.StreamResponse
        reason = ""
        try:
            response = await answering
        except AutobatchError as error:
            response, reason = error_response(error, errors), error.code
            # Its frames hold the request, whose futures hold the error: with its body it would wait for the collector.
            error.__traceback__ = None
        except FrameworkError as error:
            body, headers = (error.text, TEXT) if errors is None else (errors.write(error.status, error.text), JSON)
            response, reason = web.Response(status=error.status, body=body, headers=headers), error.code
        except asyncio.CancelledError:
            self.requests.left(request, path, time.perf_counter() - started_s)
            raise
        except Exception as error:  # a fault of ours: its text goes to the log only, and the client reads a 500
            log.exception("request_failed_unforeseen", extra=self.requests.names_of(request))
            response = error_response(AutobatchError(), errors)
            error.__traceback__ = None  # as above
        status = response.status
        if status >= 400:
            self.metrics.refused(path, reason or request.get(REASON, AutobatchError.code))
        if status >= 500:
            log.warning("request_failed", extra={**self.requests.names_of(request), "route": path, "status": status})
        spent_s = time.perf_counter() - started_s
        if spent_s >= self.requests.slow_s:
            self.requests.slow(request, path, status, spent_s)
        model = request.get(MODEL, "") if self.models.are_named else ""
        self.metrics.answered(path, status, spent_s, model)
        return response

    async def _answer(self, request: web.Request, route: Route, started_s: float) -> web.StreamResponse:
        headers = request.headers
        content_type = headers.get("Content-Type")
        if route.unless_json is not None and not is_json(content_type):
            raise route.unless_json  # before the body is read, as the upstream does it
        held = self.room.admit(request)
        try:
            whole_s = self.left_s(
                timeout_s(headers.get(TIMEOUT_HEADER), self.timeout_max_ms),
                headers.get(START_HEADER),
                request.remote or "",
            )
            body = await read_body(request, held, whole_s)
            end, asked = self._unnamed, None
            if self.models.are_named:
                end, asked = await self._choose(request, route, body, left_until(started_s + whole_s))
            bulk = asks_bulk(headers.get(PRIORITY_HEADER))
            request_id = self.common.request_id(request)
            names = (
                RequestNames(request_id, request.get(TRACE, {}))
                if self.requests.is_traced
                else RequestNames(request_id)
            )
            plan = self.plan(body, content_type, route, end, asked, names, asks_bulk=bulk)
            planned = PlannedRequest(plan, end, len(body), started_s, started_s + whole_s)
            del body, asked, plan  # the plan has what is needed of it, and the request may wait for long
            return await self.answer_planned(request, route, planned, self.ask(planned))
        finally:
            held.release()

    def left_s(self, whole_s: float, start: str | None, peer: str) -> float:
        """Return what is left of a request's time, of which some was spent at other workers if nginx says so.

        Args:
            whole_s: Its time, in seconds.
            start: When it was first sent, in nginx's words.
            peer: The address of who sent it.
        """
        return whole_s if start is None else whole_s - self._earlier_tries.spent_s(start, peer, whole_s)

    async def ask(self, planned: PlannedRequest) -> list[Reply]:
        """Return the replies to a request's jobs; raises as every JobClient does, and InvalidRequest for foreign token ids."""
        plan, end = planned.plan, planned.end
        if plan.largest_id is not None:
            await end.vocabulary.check(plan.largest_id, planned.left_s())
        if len(plan.jobs) == 1:
            return await end.clients.usual.ask(plan, planned.left_s())
        return await ask_one_model(end.clients, plan, planned.left_s())

    async def answer_planned(
        self, request: web.Request, route: Route, planned: PlannedRequest, asking: Awaitable[list[Reply]]
    ) -> web.StreamResponse:
        """Return the answer to a request whose jobs are asked."""
        replies: list[Reply] = []
        try:
            replies = await asking
        finally:
            if time.perf_counter() - planned.started_s >= self.requests.account_from_s:
                request[ACCOUNT] = account_of(planned.plan, replies, planned.body_bytes, planned.end.watcher)
        header, watcher = replies[0][0], planned.end.watcher
        if header.model and header.model not in watcher.names:
            await watcher.learn(header.model)
        notes = self.count_replied(planned, header, request.headers.get(ORIGIN_HEADER))
        response = answer(planned.plan, replies, notes, route.errors)
        if response.status >= 400:
            request[REASON] = _reason(replies)
        return response

    def count_replied(self, planned: PlannedRequest, header: ReplyHeader, origin: str | None) -> AnswerNotes:
        """Count a request whose replies have come; return what is said of its answer.

        Args:
            planned: The request.
            header: Of the reply to its first job.
            origin: The request's header of that name.
        """
        plan, spent_s = planned.plan, time.perf_counter() - planned.started_s
        self.metrics.replied(header, sum([job.n for job in plan.jobs]), planned.body_bytes, spent_s)
        lines, model, names = self.common.lines(origin, plan.names.request), plan.model, planned.end.watcher.names
        if header.model:
            name = names.get(header.model, "")
            lines += model_lines(header.model, name)
            if not planned.end.name:  # the name was that of the model that was there when the request came
                model = name or ("" if model in names.values() else model)
        return AnswerNotes(lines, int(spent_s * 1000), model)

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
        end = await self.models.choose(outside, inside, left_s, is_checked=self._check is not None)
        request[MODEL] = end.name
        return end, asked if self.models.are_named else None

    def _read(self, read: Reader, body: bytes) -> AnyAsked:
        if len(body) > LOOK_ABOVE_BYTES and read is not read_verbatim:
            refuse_too_many(body, self._unnamed.rules.request_inputs_max)
        return read(body)

    def plan(
        self,
        body: bytes,
        content_type: str | None,
        route: Route,
        end: ModelEnd,
        asked: AnyAsked | None,
        names: RequestNames,
        *,
        asks_bulk: bool,
    ) -> Plan:
        """Return the plan of a body, which is read here if it was not yet, and count it."""
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
            names=names,
        )
        if plan.alone is None:
            self._share.together += 1
        else:
            self._share.note(plan.alone)
            self.metrics.shares_no_call(route.path, plan.alone)
        return plan


def _reason(replies: Sequence[Reply]) -> str:
    """Why one of the replies is an error."""
    failed = [header for header, _ in replies if header.fault or header.status != 200]
    if not failed:
        return AnswerTooLarge.code  # or their rows do not fit together
    return failed[0].fault or f"upstream_{failed[0].status}"
