"""The log of single requests: what names one in it, and a line for each that was slow, with where its time went.

{"event": "request_slow", "route": "/embed", "status": 200, "total_ms": 12034.1, "queue_ms": 11800.0, "upstream_ms": 201.5,
 "own_ms": 32.6, "inputs": 1, "body_bytes": 93, "batch_inputs": 32, "upstream": "http://tei:80", "request_id": ..., ...}
"""

import logging
import time
from collections.abc import Callable
from math import inf

from aiohttp import web

from autobatch_proxy.account import ACCOUNT, TRACE, Account
from autobatch_proxy.http.headers import CommonHeaders
from autobatch_shared.tracing.trace_headers import trace_id_in

log = logging.getLogger(__name__)

LINES_PER_S_MAX = 10  # of slow requests: an overload makes all of them slow
KEPT_FROM_SHARE = 0.9  # of the limit: what is still to come is the answer's writing
CLIENT_LEFT = 499  # nginx's status of a request whose client did not wait


class RequestLog:
    """What one worker says of single requests.

    Attributes:
        slow_s: Requests that take as many seconds are slow.
        account_from_s: Seconds from which on the account of a request is wanted.
        is_traced: Whether requests have spans.

    Args:
        common: Knows the id of each request.
        slow_ms: Milliseconds from which on a request is slow; 0: none is.
        is_traced: As above.
        clock_s: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        common: CommonHeaders,
        slow_ms: int,
        *,
        is_traced: bool = False,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slow_s = slow_ms / 1000 if slow_ms else inf
        self.is_traced = is_traced
        self.account_from_s = 0.0 if is_traced else self.slow_s * KEPT_FROM_SHARE
        self._common = common
        self._clock_s = clock_s
        self._began_s = -inf  # the second in which `_lines` were logged
        self._lines = self._unlogged = 0

    def names_of(self, request: web.Request) -> dict[str, str]:
        """Return what names a request in a line of the log: its id, and its trace where it has one."""
        names = {"request_id": self._common.request_id(request)}
        if trace_id := trace_id_in(request.get(TRACE) or request.headers):
            names["trace_id"] = trace_id
        return names

    def left(self, request: web.Request, path: str, seconds: float) -> None:
        """Take note of a request whose client did not wait for its answer: it may have been slow."""
        if seconds >= self.slow_s:
            self.slow(request, path, CLIENT_LEFT, seconds)

    def slow(self, request: web.Request, path: str, status: int, seconds: float) -> None:
        """Log that a request was slow.

        Args:
            request: The request.
            path: Its route.
            status: Of its answer.
            seconds: That it took.
        """
        now_s = self._clock_s()
        if now_s - self._began_s >= 1:
            self._began_s, self._lines = now_s, 0
        if self._lines >= LINES_PER_S_MAX:
            self._unlogged += 1
            return
        self._lines += 1
        account = request.get(ACCOUNT)
        facts = {} if account is None else _facts(account, seconds)
        log.warning(
            "request_slow",
            extra={
                "route": path,
                "status": status,
                "total_ms": round(1000 * seconds, 1),
                **facts,
                **self.names_of(request),
                "unlogged": self._unlogged,
            },
        )
        self._unlogged = 0


def _facts(account: Account, seconds: float) -> dict[str, object]:
    own_us = max(0.0, 1e6 * seconds - account.queue_us - account.upstream_us)
    parts = {"queue_ms": account.queue_us, "upstream_ms": account.upstream_us, "own_ms": own_us}
    return {
        **({name: round(us / 1000, 1) for name, us in parts.items()} if account.batch or account.queue_us else {}),
        "inputs": account.inputs,
        "jobs": account.jobs,
        "body_bytes": account.body_bytes,
        "batch_inputs": account.batch,
        "model": account.model,
        "upstream": account.upstream,
    }
