"""Admission and threads: from a request to its vectors without blocking the event loop.

1. A request holds one permit per input from its first check to its last; without permits it is refused at once.
2. One POST is one forward pass. Requests are never merged: that is the proxy's work.
3. One thread runs forward passes, in the order of arrival; other threads tokenise meanwhile.
4. A request whose client left before its pass began costs no pass.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from embedder import errors
from embedder.errors import TeiError
from embedder.metrics import Metrics
from embedder.model import Model, Vectors, cores, finish
from embedder.requests import EmbedRequest, TokenizeRequest


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server admits.

    Attributes:
        batch_inputs_max: Inputs in one request.
        inputs_max: Inputs in all requests at once.
        truncate: Cut inputs that are too long when a request does not say.
    """

    batch_inputs_max: int
    inputs_max: int
    truncate: bool


@dataclass(frozen=True, slots=True)
class Embedded:
    """The answer to one request: `vectors` is (inputs, dimensions) float32; times are in seconds."""

    vectors: Vectors
    tokens: int
    tokenization_s: float
    queue_s: float
    inference_s: float


class Engine:
    """Runs requests on a model. Belongs to one event loop."""

    def __init__(self, model: Model, limits: Limits, metrics: Metrics) -> None:
        self.model = model
        self.limits = limits
        # TEI's number: a core is left for the forward pass.
        self.tokenizer_threads = max(1, min(64, cores() - 1))
        self._metrics = metrics
        self._permits = limits.inputs_max
        self._passes: set[_Pass] = set()
        self._failed = False
        self._tokenizing = ThreadPoolExecutor(self.tokenizer_threads, "tokenize")
        self._inference = ThreadPoolExecutor(1, "inference")
        metrics.watch_queue(lambda: sum(len(run.rows) for run in self._passes if run.began_s is None))

    def close(self) -> None:
        """Stop the threads; what is running ends first."""
        self._tokenizing.shutdown()
        self._inference.shutdown(cancel_futures=True)

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Return one vector per input, in order.

        Raises:
            TeiError: Any of the table but /tokenize's and /health's.
        """
        count = len(request.inputs)
        if request.is_batch and count > self.limits.batch_inputs_max:
            raise errors.batch_too_long(count, self.limits.batch_inputs_max)
        if count > self._permits:
            raise errors.overloaded()
        self._permits -= count
        try:
            return await self._embed(request)
        except asyncio.CancelledError:
            self._metrics.failures.labels("dropped").inc(count)
            raise
        finally:
            self._permits += count

    async def tokenize(self, request: TokenizeRequest) -> list[list[dict[str, Any]]]:
        """Return the tokens of every text.

        Raises:
            TeiError: Empty, Validation or Tokenizer.
        """
        count = len(request.inputs)
        if request.is_batch and not count:
            raise errors.empty_list()
        if request.is_batch and count > self.limits.batch_inputs_max:
            raise errors.batch_too_long(count, self.limits.batch_inputs_max)
        return await asyncio.get_running_loop().run_in_executor(
            self._tokenizing,
            lambda: self.model.tokenizer.tokenize(
                request.inputs, request.prompt_name, add_special_tokens=request.add_special_tokens
            ),
        )

    async def check_health(self) -> None:
        """Return if the last forward pass succeeded, or another one now does.

        Raises:
            TeiError: Unhealthy.
        """
        if not self._failed:
            return
        try:
            await self._run(_Pass(self.model, [[0]]))
        except TeiError as error:
            raise errors.unhealthy() from error

    async def _embed(self, request: EmbedRequest) -> Embedded:
        self._metrics.inputs.inc(len(request.inputs))
        if request.dimensions == 0:
            raise errors.zero_dimensions()
        started_s = perf_counter()
        rows = await self._encode(request)
        tokenized_s = perf_counter()
        run = _Pass(self.model, rows)
        pooled = await self._run(run)
        began_s, ended_s = run.began_s or tokenized_s, run.ended_s
        vectors = finish(pooled, request.dimensions, normalize=request.normalize)
        self._metrics.input_successes.inc(len(rows))
        tokens = sum(map(len, rows))
        self._metrics.batch_size.observe(len(rows))
        self._metrics.batch_tokens.observe(tokens)
        return Embedded(vectors, tokens, tokenized_s - started_s, began_s - tokenized_s, ended_s - began_s)

    async def _encode(self, request: EmbedRequest) -> list[list[int]]:
        # TEI finds too many dimensions only after a pass, so a fault of the first input comes before it, and no other.
        is_too_many = request.dimensions is not None and request.dimensions > self.model.size
        inputs = request.inputs[:1] if is_too_many else request.inputs
        truncate = self.limits.truncate if request.truncate is None else request.truncate
        rows = await asyncio.get_running_loop().run_in_executor(
            self._tokenizing,
            lambda: self.model.tokenizer.encode(inputs, request.prompt_name, request.direction, truncate=truncate),
        )
        if is_too_many:
            raise errors.too_many_dimensions()
        return rows

    async def _run(self, run: "_Pass") -> Vectors:
        self._passes.add(run)
        try:
            # Cancelling this await takes the pass out of the executor's queue if it has not begun.
            pooled = await asyncio.get_running_loop().run_in_executor(self._inference, run)
        except TeiError:
            self._failed = True
            raise
        finally:
            self._passes.discard(run)
        self._failed = False
        return pooled


class _Pass:
    """One forward pass and when it ran, on the clock of `perf_counter`."""

    def __init__(self, model: Model, rows: list[list[int]]) -> None:
        self.rows = rows
        self.began_s: float | None = None
        self.ended_s = 0.0
        self._model = model

    def __call__(self) -> Vectors:
        """Run it, on the inference thread."""
        self.began_s = perf_counter()
        try:
            return self._model.run(self.rows)
        finally:
            self.ended_s = perf_counter()
