"""Admission and threads: from a request to its answer without blocking the event loop while another could come.

1. A request for vectors holds one permit per input from its first check to its last; without permits it is refused
   at once.
2. Requests that wait are computed together, in the order of arrival (`passes`). The model cuts what it gets into
   forward passes of texts of like length (`slices`).
3. Texts are tokenised on other threads while a pass runs, except a request of a short text.

More than 250 lines, because requests of every kind share the permits, the threads and the passes.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

from autobatch_embedder import errors
from autobatch_embedder.bodies.requests import (
    DecodeRequest,
    EmbedRequest,
    PredictRequest,
    RerankRequest,
    TokenizeRequest,
)
from autobatch_embedder.errors import TeiError
from autobatch_embedder.metrics import EmbedderMetrics
from autobatch_embedder.model.loaded_model import Model
from autobatch_embedder.model.passes import Passes, PerRow, Rows
from autobatch_embedder.model.tokens import characters
from autobatch_embedder.model.vectors import Vectors, finish, probabilities
from autobatch_embedder.model_files.model_folder import SCORING
from autobatch_shared.cores import cores

R = TypeVar("R")
V = TypeVar("V")
P = TypeVar("P", bound=PerRow)

SHORT_CHARACTERS = 150
"""Of a request that the event loop tokenises itself: 40 characters take 20 us of CPU, and the way to another thread and
back 23 us, 150 us until it is done; 1,200 characters take 390 us, for which other requests should not wait."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one server admits.

    Attributes:
        batch_inputs_max: Inputs in one request.
        inputs_max: Inputs in all requests at once.
        truncate: Whether inputs that are too long are cut if a request does not say.
        joins: Whether requests that wait are computed together.
    """

    batch_inputs_max: int
    inputs_max: int
    truncate: bool
    joins: bool = True


@dataclass(frozen=True, slots=True)
class Done(Generic[V]):
    """The answer to one request for vectors; times are in seconds."""

    vectors: V
    tokens: int
    tokenization_s: float
    queue_s: float
    inference_s: float
    total_s: float


class Engine:
    """Runs requests on a model. Belongs to one event loop."""

    def __init__(
        self,
        model: Model,
        limits: EngineLimits,
        metrics: EmbedderMetrics,
        is_only_client: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start the threads.

        Args:
            model: Computes.
            limits: See there.
            metrics: See there.
            is_only_client: Whether no request can come before the one that asks has its answer.
        """
        self.model = model
        self.task = model.folder.task
        self.size = model.head.size if model.head else model.size
        self.limits = limits
        # TEI's number: a core is left for the forward pass.
        self.tokenizer_threads = max(1, min(64, cores() - 1))
        self._metrics = metrics
        self._permits = limits.inputs_max
        self._passes = Passes(
            model.full_tokens if limits.joins else 0, self._note_pass, model.give_back, is_only_client=is_only_client
        )
        self._tokenizing = ThreadPoolExecutor(self.tokenizer_threads, "tokenize")
        metrics.watch_queue(lambda: self._passes.waiting_inputs)

    def close(self) -> None:
        """Stop the threads, after the work that is running."""
        self._tokenizing.shutdown()
        self._passes.close()

    async def embed(self, request: EmbedRequest) -> Done[Vectors]:
        """Return one vector per input, in order: (inputs, dimensions) float32.

        Raises:
            TeiError: Empty, Validation, Tokenizer, Overloaded or Backend.
        """

        def finished(pooled: Vectors) -> Vectors:
            return finish(pooled, request.dimensions or self.model.folder.dimensions, normalize=request.normalize)

        refusal = self._refusal_of_vectors()
        if self.task == "splade" and request.normalize:
            refusal = errors.sparse_is_not_normalized()
        return await self._admit(request, self.model.run_with_head, finished, refusal)

    async def embed_all(self, request: EmbedRequest) -> Done[list[Vectors]]:
        """Return the vectors of every input's tokens, in order: (tokens, size) float32 each. Raises as `embed`.

        Ids outside the vocabulary are not tokens, and an input may have no others.
        """
        refusal = errors.no_tokens_of_sparse() if self.task == "splade" else self._refusal_of_vectors()
        return await self._admit(request, self.model.run_tokens, lambda tokens: tokens, refusal)

    async def embed_sparse(self, request: EmbedRequest) -> Done[Vectors]:
        """Return the score of every word for each input: (inputs, vocabulary) float32, most of them 0. Raises as `embed`."""
        refusal = None if self.task == "splade" else errors.not_sparse()
        return await self._admit(request, self.model.run_with_head, lambda scores: scores, refusal)

    async def predict(self, request: PredictRequest) -> Done[Vectors]:
        """Return the score of every class for each input: (inputs, classes) float32. Raises as `embed`."""
        asked = EmbedRequest(
            inputs=tuple(item[0] if len(item) == 1 else (item[0], item[1]) for item in request.inputs),
            is_batch=request.is_batch,
            truncate=request.truncate,
            direction=request.direction,
        )
        refusal = None if self.task in SCORING else errors.not_a_classifier()

        def finished(scores: Vectors) -> Vectors:
            return scores if request.raw_scores else probabilities(scores)

        # TEI's items acquire their permits one by one, so where they are refused the first one decides.
        return await self._admit(asked, self.model.run_with_head, finished, refusal, permits=1 if refusal else None)

    async def rerank(self, request: RerankRequest) -> Done[Vectors]:
        """Return the score of every text: (texts, 1) float32. Raises as `embed`."""
        if not request.texts:
            raise errors.empty_list("texts")
        if self.task != "reranker":
            raise errors.not_a_reranker()
        pairs = tuple((request.query, text) for text in request.texts)
        return await self.predict(PredictRequest(pairs, True, request.truncate, request.direction, request.raw_scores))

    async def tokenize(self, request: TokenizeRequest) -> list[list[dict[str, Any]]]:
        """Return the tokens of every text.

        Raises:
            TeiError: Empty, Validation or Tokenizer.
        """
        count = len(request.inputs)
        if request.is_batch and not count:
            raise errors.empty_list("inputs")
        self._check_batch(count, is_batch=request.is_batch)
        return await self._with_tokenizer(
            lambda: self.model.tokenizer.tokenize(
                request.inputs, request.prompt_name, add_special_tokens=request.add_special_tokens
            )
        )

    async def decode(self, request: DecodeRequest) -> list[str]:
        """Return the text of every list of ids. Raises as `tokenize`."""
        self._check_batch(len(request.ids), is_batch=request.is_batch)
        return await self._with_tokenizer(
            lambda: self.model.tokenizer.decode(request.ids, skip_special_tokens=request.skip_special_tokens)
        )

    async def check_health(self) -> None:
        """Return if the last forward pass succeeded, or if another one succeeds now.

        Raises:
            TeiError: Unhealthy.
        """
        if not self._passes.has_failed:
            return
        try:
            await self._passes.run([[0]], self.model.run)
        except TeiError as error:
            raise errors.unhealthy() from error

    def _refusal_of_vectors(self) -> TeiError | None:
        return errors.not_an_embedder() if self.task in SCORING else None

    async def _admit(
        self,
        request: EmbedRequest,
        forward: Callable[[Rows], P],
        finished: Callable[[P], V],
        refusal: TeiError | None,
        permits: int | None = None,
    ) -> Done[V]:
        count = len(request.inputs)
        self._check(count, is_batch=request.is_batch, permits=permits or count)
        if refusal:
            raise errors.zero_dimensions() if request.dimensions == 0 else refusal
        self._permits -= count
        try:
            done = await self._compute(request, forward, finished)
        except asyncio.CancelledError:
            self._metrics.failures.labels("dropped").inc(count)
            raise
        finally:
            self._permits += count
        self._metrics.successes.labels(_method(is_batch=request.is_batch)).inc()
        self._metrics.input_successes.inc(count)
        self._metrics.duration_s.observe(done.total_s)
        self._metrics.tokenization_s.observe(done.tokenization_s)
        self._metrics.queue_s.observe(done.queue_s)
        self._metrics.inference_s.observe(done.inference_s)
        return done

    async def _compute(
        self, request: EmbedRequest, forward: Callable[[Rows], P], finished: Callable[[P], V]
    ) -> Done[V]:
        self._metrics.inputs.inc(len(request.inputs))
        if request.dimensions == 0:
            raise errors.zero_dimensions()
        started_s = perf_counter()
        rows = await self._encode(request)
        tokenization_s = perf_counter() - started_s
        if forward != self.model.run_tokens and not all(rows):
            raise errors.backend_failed("the input has no tokens")  # before it could spoil the pass of others
        passed = await self._passes.run(rows, forward)
        vectors = finished(passed.vectors)
        total_s = perf_counter() - started_s
        return Done(vectors, sum(map(len, rows)), tokenization_s, passed.queue_s, passed.inference_s, total_s)

    async def _encode(self, request: EmbedRequest) -> Rows:
        # TEI detects too many dimensions only after a pass, so only an error of the first input comes before it.
        is_too_many = request.dimensions is not None and request.dimensions > self.size
        inputs = request.inputs[:1] if is_too_many else request.inputs
        truncate = self.limits.truncate if request.truncate is None else request.truncate

        def encoded() -> Rows:
            return self.model.tokenizer.encode(inputs, request.prompt_name, request.direction, truncate=truncate)

        is_short = sum(map(characters, inputs)) <= SHORT_CHARACTERS
        rows = encoded() if is_short else await self._with_tokenizer(encoded)
        if is_too_many:
            raise errors.too_many_dimensions()
        return rows

    def _note_pass(self, inputs: int, tokens: int) -> None:
        self._metrics.batch_size.observe(inputs)
        self._metrics.batch_tokens.observe(tokens)

    async def _with_tokenizer(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._tokenizing, work)

    def _check(self, count: int, *, is_batch: bool, permits: int) -> None:
        self._metrics.requests.labels(_method(is_batch=is_batch)).inc()
        self._check_batch(count, is_batch=is_batch)
        if permits > self._permits:
            raise errors.overloaded()

    def _check_batch(self, count: int, *, is_batch: bool) -> None:
        if is_batch and count > self.limits.batch_inputs_max:
            raise errors.batch_too_long(count, self.limits.batch_inputs_max)


def _method(*, is_batch: bool) -> str:
    return "batch" if is_batch else "single"
