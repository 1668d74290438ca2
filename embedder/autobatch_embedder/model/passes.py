"""Forward passes, one at a time in the order of arrival, on a thread of their own.

1. A request takes those that wait behind it into its pass, up to a number of tokens: one pass of 30 short texts takes
   half the time of 30 passes. The order of arrival stays.
2. A request whose client disconnected before its pass began costs no pass.
3. While no other request can come, a short pass runs on the event loop itself: the way to the thread and back takes a
   quarter of a millisecond, in which cores and caches fall asleep.
4. After some seconds without a request the thread rests once: it gives memory back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from autobatch_embedder.errors import TeiError
from autobatch_shared.bell import let_others_run

Rows = list[list[int]]
"""Token ids of each input."""


class PerRow(Protocol):
    """One value for each row, such as an array or a list."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Those of some rows."""


V = TypeVar("V", bound=PerRow)

IDLE_S = 5.0
"""Without a request. What full passes need, some 17 MB with MiniLM, costs the first of them thousands of page faults."""

BLOCKED_S = 0.01
"""Of a pass that may run on the event loop. What else comes meanwhile, such as a probe or a new connection, waits."""


@dataclass(frozen=True, slots=True)
class Passed(Generic[V]):
    """The result of a pass for one request, and how long it waited and ran, in seconds."""

    vectors: V
    queue_s: float
    inference_s: float


class Passes:
    """The thread and its queue. Belongs to one event loop.

    Attributes:
        has_failed: Whether the last pass failed.
    """

    def __init__(
        self,
        tokens_max: int,
        note: Callable[[int, int], None],
        rest: Callable[[], None],
        idle_s: float = IDLE_S,
        is_only_client: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start the thread.

        Args:
            tokens_max: Of all requests in a pass, unless one alone has more; 0: each request has its own pass.
            note: Called with the inputs and tokens of each pass, where it runs.
            rest: Called after `idle_s` without a request, on the thread.
            idle_s: See there.
            is_only_client: Whether no request can come before the one that asks has its answer.
        """
        self.has_failed = False
        self._tokens_max = tokens_max
        self._note = note
        self._rest = rest
        self._idle_s = idle_s
        self._is_only_client = is_only_client
        self._is_computing = False  # also for a client that disconnected meanwhile
        self._last_tokens, self._last_s = 1, inf  # of the last pass
        self._used_s = 0.0  # on the event loop's clock
        self._look: asyncio.TimerHandle | None = None  # one for many requests
        self._waiting: dict[_Part[Any], None] = {}  # in the order of arrival
        self._thread = ThreadPoolExecutor(1, "inference")

    @property
    def waiting_inputs(self) -> int:
        """Inputs of the requests whose pass has not begun."""
        return sum(len(each.rows) for each in self._waiting if not each.has_begun)

    async def run(self, rows: Rows, forward: Callable[[Rows], V]) -> Passed[V]:
        """Run `forward` when it is its turn, perhaps together with other requests for the same function.

        Args:
            rows: Of one request.
            forward: Returns one value for each row.

        Raises:
            TeiError: It failed.
        """
        part = _Part(rows, forward)
        asked_s = perf_counter()
        self._waiting[part] = None
        try:
            if await self._is_for_loop(part):
                vectors = self._result_of(part)
            else:
                # Cancelling this await takes the call out of the executor's queue if it has not begun.
                vectors = await asyncio.get_running_loop().run_in_executor(self._thread, self._result_of, part)
        except TeiError:
            self.has_failed = True
            raise
        finally:
            del self._waiting[part]
            self._used_s = asyncio.get_running_loop().time()
            if self._look is None:
                self._look_in(self._idle_s)
        self.has_failed = False
        return Passed(vectors, part.began_s - asked_s, part.ended_s - part.began_s)

    def close(self) -> None:
        """Stop the thread, after the pass that is running."""
        if self._look:
            self._look.cancel()
        self._thread.shutdown(cancel_futures=True)

    async def _is_for_loop(self, part: "_Part[Any]") -> bool:
        if self._last_s * max(1.0, part.tokens / self._last_tokens) > BLOCKED_S or not self._is_only_client():
            return False
        await let_others_run()  # one HTTP request may ask for several things at once, as /vertex does
        return len(self._waiting) == 1 and not self._is_computing

    def _look_in(self, seconds: float) -> None:
        self._look = asyncio.get_running_loop().call_later(seconds, self._rest_if_idle)

    def _rest_if_idle(self) -> None:
        self._look = None
        idle_s = asyncio.get_running_loop().time() - self._used_s
        if self._waiting or idle_s < self._idle_s:
            self._look_in(max(self._idle_s - idle_s, self._idle_s / 10))
        else:
            self._thread.submit(self._rest)

    def _result_of(self, part: "_Part[V]") -> V:
        """Compute a request unless an earlier one took it along."""
        if not part.has_begun:
            self._compute(self._joined(part))
        return part.done.result()

    def _joined(self, first: "_Part[V]") -> "list[_Part[V]]":
        parts, tokens = [first], first.tokens
        for each in list(self._waiting):  # a copy made at once: the event loop adds and removes requests meanwhile
            if each.has_begun or each is first or each.forward != first.forward:
                continue
            tokens += each.tokens
            if tokens > self._tokens_max:
                break
            parts.append(each)
        return parts

    def _compute(self, parts: "list[_Part[V]]") -> None:
        rows = [row for part in parts for row in part.rows]
        tokens = sum(part.tokens for part in parts)
        self._note(len(rows), tokens)
        self._is_computing = True
        began_s = perf_counter()
        for part in parts:
            part.has_begun, part.began_s = True, began_s
        try:
            vectors = parts[0].forward(rows)
        except BaseException as error:
            for part in parts:
                part.done.set_exception(error)
            raise
        finally:
            ended_s = perf_counter()
            self._is_computing = False
            self._last_tokens, self._last_s = max(1, tokens), ended_s - began_s
            for part in parts:
                part.ended_s = ended_s
        ends = accumulate((len(part.rows) for part in parts), initial=0)
        for part, (start, end) in zip(parts, pairwise(ends), strict=True):
            part.done.set_result(vectors[start:end])


class _Part(Generic[V]):
    """What one request has in a pass; times are on the clock of `perf_counter`."""

    def __init__(self, rows: Rows, forward: Callable[[Rows], V]) -> None:
        self.rows = rows
        self.forward = forward
        self.tokens = sum(map(len, rows))
        self.has_begun = False
        self.began_s = self.ended_s = 0.0
        self.done: Future[V] = Future()
