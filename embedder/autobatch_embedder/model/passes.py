"""Forward passes, one at a time in the order of arrival, on a thread of their own.

A request whose client disconnected before its pass began costs no pass.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

from autobatch_embedder.http.errors import TeiError

Rows = list[list[int]]
"""Token ids of each input."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Passed(Generic[V]):
    """The result of a pass, and how long it waited and ran, in seconds."""

    vectors: V
    queue_s: float
    inference_s: float


class Passes:
    """The thread and its queue. Belongs to one event loop.

    Attributes:
        has_failed: Whether the last pass failed.
    """

    def __init__(self) -> None:
        self.has_failed = False
        self._waiting: set[_Pass[Any]] = set()
        self._thread = ThreadPoolExecutor(1, "inference")

    @property
    def waiting_inputs(self) -> int:
        """Inputs of the passes that have not begun."""
        return sum(len(each.rows) for each in self._waiting if each.began_s is None)

    async def run(self, rows: Rows, forward: Callable[[Rows], V]) -> Passed[V]:
        """Run `forward` when it is its turn.

        Raises:
            TeiError: It failed.
        """
        each = _Pass(rows, forward)
        asked_s = perf_counter()
        self._waiting.add(each)
        try:
            # Cancelling this await takes the pass out of the executor's queue if it has not begun.
            vectors = await asyncio.get_running_loop().run_in_executor(self._thread, each)
        except TeiError:
            self.has_failed = True
            raise
        finally:
            self._waiting.discard(each)
        self.has_failed = False
        began_s = each.began_s or asked_s
        return Passed(vectors, began_s - asked_s, each.ended_s - began_s)

    def close(self) -> None:
        """Stop the thread, after the pass that is running."""
        self._thread.shutdown(cancel_futures=True)


class _Pass(Generic[V]):
    """One forward pass and when it ran, on the clock of `perf_counter`."""

    def __init__(self, rows: Rows, forward: Callable[[Rows], V]) -> None:
        self.rows = rows
        self.began_s: float | None = None
        self.ended_s = 0.0
        self._forward = forward

    def __call__(self) -> V:
        """Run it, on the inference thread."""
        self.began_s = perf_counter()
        try:
            return self._forward(self.rows)
        finally:
            self.ended_s = perf_counter()
