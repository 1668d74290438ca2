"""The routes at which something is computed: a body in, its jobs' replies from the client, an answer out."""

import asyncio
import logging
import time
from typing import NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.dialects.error_shapes import OPENAI_ERRORS
from autobatch_proxy.dialects.model_check import ModelCheck
from autobatch_proxy.dialects.tei import read_verbatim
from autobatch_proxy.http.answers import JSON, answer, error_response
from autobatch_proxy.http.earlier_tries import EarlierTries
from autobatch_proxy.http.errors import FrameworkError, TooLarge, TooSlow
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
from autobatch_proxy.http.route_table import READERS, Route
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.one_model import Clients, ask_one_model
from autobatch_proxy.queue.vocabulary import Vocabulary
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.requests.oversize import LOOK_ABOVE_BYTES, refuse_too_many
from autobatch_proxy.requests.plan import Rules
from autobatch_proxy.requests.planner import make_plan
from autobatch_shared.contract.errors import AutobatchError, DeadlineExceeded, QueueFull

log = logging.getLogger(__name__)

SMALL_BYTES = 65_536  # aiohttp reads as much of a body before anybody asks for it
LARGE_SHARE = 0.75
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class ModelChecks(NamedTuple):
    """What is checked of a request before its jobs are asked for, and needs to know the model.

    Attributes:
        vocabulary: Knows which token ids are the model's.
        model: Refuses what the OpenAI routes are asked of other models; None: it is computed.
    """

    vocabulary: Vocabulary
    model: ModelCheck | None


class Compute:
    """The handlers of these routes in one worker.

    Args:
        rules: How this worker plans requests.
        room: Is there for the bodies of this worker's requests.
        timeout_max_ms: The deadline of a request that asks for no shorter one, in milliseconds.
        clients: Are asked for the replies to a plan's jobs.
        checks: What requests are checked for.
        watcher: Knows what the upstreams allow.
        metrics: Counts this worker's requests and answers.
        share: Counts the requests that share no call.
        common: Writes the headers of every answer.
    """

    def __init__(
        self,
        rules: Rules,
        room: "BodyRoom",
        timeout_max_ms: int,
        clients: Clients,
        checks: ModelChecks,
        watcher: FleetWatcher,
        metrics: WorkerMetrics,
        share: AloneShare,
        common: CommonHeaders,
    ) -> None:
        self._rules = rules
        self._room = room
        self._earlier_tries = EarlierTries()
        self._timeout_max_ms = timeout_max_ms
        self._clients = clients
        self._client = clients.usual
        self._checks = checks
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
        content_type = request.headers.get("Content-Type")
        if route.unless_json is not None and not is_json(content_type):
            raise route.unless_json  # before the body is read, as the upstream does it
        body_bytes = self._room.admit(request)
        try:
            return await self._answer_to_body(request, route, content_type, started_s)
        finally:
            self._room.release(body_bytes)

    async def _answer_to_body(
        self, request: web.Request, route: Route, content_type: str | None, started_s: float
    ) -> web.StreamResponse:
        headers = request.headers
        whole_s = timeout_s(headers.get(TIMEOUT_HEADER), self._timeout_max_ms)
        start = headers.get(START_HEADER)
        if start is not None:
            whole_s -= self._earlier_tries.spent_s(start, request.remote or "", whole_s)
        body = await read_body(request, whole_s)
        is_bulk = asks_bulk(headers.get(PRIORITY_HEADER))
        allowed = self._watcher.allowed
        read = route.read or READERS.get(allowed.alias, read_verbatim)
        if len(body) > LOOK_ABOVE_BYTES and read is not read_verbatim:
            refuse_too_many(body, self._rules.request_inputs_max)
        asked = read(body)
        if self._checks.model is not None and route.errors is OPENAI_ERRORS:
            self._checks.model.check(asked, body, allowed.served_model)
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
        if plan.largest_id is not None:
            await self._checks.vocabulary.check(plan.largest_id, _left_s(whole_s, started_s))
        left_s = _left_s(whole_s, started_s)
        if len(plan.jobs) == 1:
            replies = await self._client.ask(plan, left_s)
        else:
            replies = await ask_one_model(self._clients, plan, left_s)
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


class BodyRoom:
    """Room for the bodies of the requests that one worker has.

    1. A body is admitted by its `Content-Length`, before it is read; one without, as if it were as large as a body may be.
    2. It is held until its request is answered. Meanwhile it is there as bytes, as texts, as a job and in buffers: 400
       bodies of 1.9 MB at once made a worker of 66 MB one of 450 MB, with room for 64 MB of bodies, and 1.6 GB without a
       bound.
    3. Small bodies have a share of their own, so that large ones cause no refusal of others.

    Args:
        bytes_max: Bytes of bodies that are held at a time; a body that comes when none is held may be larger.
        body_bytes_max: Bytes of the largest body.
    """

    def __init__(self, bytes_max: int, body_bytes_max: int) -> None:
        self.held_bytes = 0
        self._bytes_max = bytes_max
        self._large_bytes_max = int(bytes_max * LARGE_SHARE)
        self._body_bytes_max = body_bytes_max

    def admit(self, request: web.BaseRequest) -> int:
        """Make room for a body that may not have arrived yet; return how many bytes `release` is to give back.

        Raises:
            TooLarge: It has more bytes than a body may have.
            QueueFull: There is no room.
        """
        body_bytes = request.content_length
        if body_bytes is None:
            body_bytes = self._body_bytes_max
        elif body_bytes > self._body_bytes_max:
            raise TooLarge  # and not only when so much of it has come
        held_bytes = self.held_bytes + body_bytes
        bytes_max = self._bytes_max if body_bytes <= SMALL_BYTES else self._large_bytes_max
        if held_bytes > bytes_max and self.held_bytes:
            raise QueueFull("Model is overloaded: this worker holds too many bytes of requests")
        self.held_bytes = held_bytes
        return body_bytes

    def release(self, body_bytes: int) -> None:
        """Give back what `admit` returned."""
        self.held_bytes -= body_bytes


def _left_s(whole_s: float, started_s: float) -> float:
    left_s = whole_s - (time.perf_counter() - started_s)
    if left_s <= 0:
        raise DeadlineExceeded
    return left_s


async def read_body(request: web.Request, timeout_s: float) -> bytes:
    """Read a body; one that has not arrived yet may take so long.

    Raises:
        FrameworkError: It is too large, came too slowly, or did not come whole.
    """
    try:
        if request.content.is_eof():  # nearly always: it came with its headers; aiohttp's own `read` takes 2 us more
            body = request.content.read_nowait()
            if len(body) > request.client_max_size:
                raise TooLarge
            return body
        async with asyncio.timeout(timeout_s):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        raise TooLarge from exc
    except TimeoutError as exc:
        raise TooSlow from exc
    except aiohttp.ClientPayloadError as exc:
        raise FrameworkError from exc
