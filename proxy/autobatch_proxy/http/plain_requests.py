"""Plain requests: the head is known and the body is there, so nothing is left to do but to plan, to ask and to answer.

They are nearly all, and a callback for the reply is all that they need: no task, no stream, no request of aiohttp's. Whatever
else there is to do is done by the route's handler, with what is known by then: a reply that is an error, a plan of several jobs.
"""

import asyncio
import time
from collections.abc import Container, Mapping
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.http.answers import DRAIN_ABOVE_BYTES, JSON_TYPE, WholeAnswer, good_answer
from autobatch_proxy.http.bodies import HeldBody
from autobatch_proxy.http.handler import Compute
from autobatch_proxy.http.headers import (
    ORIGIN_HEADER,
    PRIORITY_HEADER,
    TIMEOUT_HEADER,
    asks_bulk,
    is_json,
    timeout_s,
)
from autobatch_proxy.http.route_table import Route
from autobatch_proxy.models.planned_request import PlannedRequest
from autobatch_proxy.queue.in_flight import Reply, WaitingRequest
from autobatch_proxy.requests.plan import RequestNames
from autobatch_shared.contract.errors import AutobatchError, InvalidRequest


class HeadFacts(NamedTuple):
    """What the head of a plain request says, beside its id and when it was first sent. Who may ask is judged each time."""

    content_type: str | None
    timeout_s: float
    asks_bulk: bool
    origin: str | None
    authorization: str | None


class AnswerTaker(Protocol):
    """The connection of a plain request. One of the first three is called once, or first the last one and then another."""

    def write_whole(self, answered: WholeAnswer) -> None:
        """Answer the request."""

    def answer_by(self, handler: Handler) -> asyncio.Task[None]:
        """Let a handler answer the request as one of aiohttp's; return what ends with that."""

    def leave(self) -> None:
        """Take note that the client waits no more."""

    def wait_for(self, reply: asyncio.Future[Reply]) -> None:
        """Take note that the request waits for this; it is cancelled when the client disconnects."""

    def request(self) -> web.Request:
        """Return the request as one of aiohttp's, without its body."""

    @property
    def peer(self) -> str:
        """The address of who sent the request."""


class PlainRoute:
    """Answers the plain requests of one route.

    Args:
        compute: Handles its other requests.
        route: The route.
        access: Knows who may ask.
    """

    def __init__(self, compute: Compute, route: Route, access: Access) -> None:
        self.compute = compute
        self.route = route
        self._access = access if route.needs_key and not access.is_open else None

    def facts_of(self, headers: Mapping[str, str]) -> HeadFacts | None:
        """Return what the head of a plain request says; None where it says something wrong."""
        content_type = headers.get("Content-Type")
        if self.route.unless_json is not None and not is_json(content_type):
            return None
        try:
            time_s = timeout_s(headers.get(TIMEOUT_HEADER), self.compute.timeout_max_ms)
            is_bulk = asks_bulk(headers.get(PRIORITY_HEADER))
        except InvalidRequest:
            return None
        return HeadFacts(content_type, time_s, is_bulk, headers.get(ORIGIN_HEADER), headers.get("Authorization"))

    def takes(self, facts: HeadFacts) -> bool:
        """Whether a request with such a head is for us now; who may ask is not remembered."""
        if self.compute.models.are_named:
            return False
        return self._access is None or self._access.is_granted(facts.authorization)


class PlainRequest:
    """One of them, from its body to its answer.

    Args:
        plain: Its route.
        facts: What its head says.
        request_id: Its id; None: it gets one.
        taker: Its connection.
    """

    __slots__ = ("_error", "_facts", "_held", "_plain", "_planned", "_request_id", "_started_s", "_taker", "_waiting")

    def __init__(self, plain: PlainRoute, facts: HeadFacts, request_id: str | None, taker: AnswerTaker) -> None:
        self._started_s = time.perf_counter()
        self._plain = plain
        self._facts = facts
        self._request_id = request_id or plain.compute.common.new_id()
        self._taker = taker
        self._held = HeldBody(plain.compute.room)
        self._planned: PlannedRequest | None = None
        self._waiting: WaitingRequest | None = None
        self._error: Exception | None = None

    def begin(self, start: str | None, body: bytes) -> None:
        """Ask for the reply, or let the handler say why not.

        Args:
            start: When it was first sent, in nginx's words.
            body: Its body.
        """
        try:
            self._held.grow(len(body))
            planned = self._planned = self._plan(start, body)
            plan, end = planned.plan, planned.end
            if len(plan.jobs) == 1 and plan.largest_id is None and end.clients.usual is end.queue:
                waiting = self._waiting = end.queue.begin(plan, planned.ends_s - planned.started_s)  # it has just come
                reply = waiting.futures[0]
                reply.add_done_callback(partial(self._replied, planned, waiting))
                self._taker.wait_for(reply)
                return
        except Exception as error:  # noqa: BLE001  # raised again where all errors are answered
            self._error = error
        self._hand_over()

    def _plan(self, start: str | None, body: bytes) -> PlannedRequest:
        compute, facts = self._plain.compute, self._facts
        end, names = compute.models.unnamed, RequestNames(self._request_id)
        left_s = facts.timeout_s if start is None else compute.left_s(facts.timeout_s, start, self._taker.peer)
        plan = compute.plan(body, facts.content_type, self._plain.route, end, None, names, asks_bulk=facts.asks_bulk)
        return PlannedRequest(plan, end, len(body), self._started_s, self._started_s + left_s)

    def _replied(self, planned: PlannedRequest, waiting: WaitingRequest, reply: asyncio.Future[Reply]) -> None:
        compute, route = self._plain.compute, self._plain.route
        planned.end.queue.end(waiting)
        spent_s = time.perf_counter() - self._started_s
        if reply.cancelled():
            self._held.release()
            compute.requests.left(self._taker.request(), route.path, spent_s)
            self._taker.leave()
            return
        if (
            reply.exception() is None
            and spent_s < compute.requests.account_from_s
            and _is_good(reply.result(), planned.end.watcher.names)
        ):
            try:
                header, body = reply.result()
                notes = compute.count_replied(planned, header, self._facts.origin)
                answered = good_answer(planned.plan, header, body, notes)
            except Exception as error:  # noqa: BLE001  # as above
                self._error = error
            else:
                compute.metrics.answered(route.path, HTTPStatus.OK, spent_s)
                self._held.release()
                self._taker.write_whole(answered)
                return
        self._hand_over()

    def _hand_over(self) -> None:
        # With the task, not in it: one that is cancelled before its first step runs nothing.
        self._taker.answer_by(self._handle).add_done_callback(lambda _: self._held.release())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Answer it as all other requests are answered, with what is known."""
        compute, route = self._plain.compute, self._plain.route
        compute.common.name(request, self._request_id)
        return await compute.handled(request, route, self._started_s, self._rest(request))

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        if self._error is not None or self._planned is None:
            raise self._error or AutobatchError
        compute = self._plain.compute
        asking = compute.ask(self._planned) if self._waiting is None else _reply_to(self._waiting)
        return await compute.answer_planned(request, self._plain.route, self._planned, asking)


async def _reply_to(waiting: WaitingRequest) -> list[Reply]:
    return [waiting.futures[0].result()]


def _is_good(reply: Reply, names: Container[str]) -> bool:
    """Whether a reply is an answer's body that is written without waiting, for the client or for its model's name."""
    header, body = reply
    return (
        header.status == HTTPStatus.OK
        and header.content_type == JSON_TYPE
        and len(body) <= DRAIN_ABOVE_BYTES
        and (not header.model or header.model in names)
    )
