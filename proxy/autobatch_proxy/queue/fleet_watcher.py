"""What this worker knows about the batchers: one look per second, for all requests, health probes and `/info` together.

An outage makes it look no more often: hundreds of workers that read all reports would make it longer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from autobatch_proxy.queue.admission import rate_of_looks
from autobatch_proxy.requests.plan import Allowed
from autobatch_shared.contract.cards import ModelKind
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.models import ServedModel
from autobatch_shared.contract.status import Fleet
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.commands import refusal_of
from autobatch_shared.redis.control import Control, Depths

log = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN_MAX = 250  # beyond it TEI's `/tokenize` refuses a text
#: What `POST /` computes. Source: text-embeddings-inference 1.9, but for its TASK, which `/info` does not tell.
ROOT_ROUTES: dict[ModelKind, str] = {
    "embedding": "/embed",
    "sparse": "/embed_sparse",
    "classifier": "/predict",
    "reranker": "/rerank",
}
LOOK_EVERY_S = 1.0
FIRST_LOOKS_S, GROWTH = 0.1, 1.3  # a start may be waiting for readiness; an outage costs no more looks than health
ABSENT_AFTER_S = 4.0  # they report once a second: so a batcher that is back within 3 s is not missed
GONE_AFTER_S = 10.0  # one that starts anew takes some seconds, and what waits needs not be lost for that
LEARN_S = 1.0  # that the first answer of a new model waits at most for its name
NAMES_MAX = 8  # the models of a few changes, whose answers may be on their way


class FleetWatcher:
    """Keeps `fleet` true to within about a second; empty while Redis is unavailable.

    Attributes:
        fleet: The batchers.
        refusal: Why Redis refused the last look, in its word, such as `MISCONF`; empty: it did not.
        drained_per_s: The rate by which requests may be refused: the larger one of the last two looks, 0 while it is unknown.
        allowed: What a job may have; while no batcher reports, what the last one said.
        model: The namespace's model, as it was last seen; None before that.
        names: The names of the models by their fingerprints, of those that were seen last.
        has_batchers: Whether there may be one: false once none has reported for ABSENT_AFTER_S to a Redis that answers;
            where none was ever seen, at once.
        may_come_back: Whether what waits may still be answered by one: false after GONE_AFTER_S, in the same way.

    Args:
        control: Reads the batchers' reports from Redis.
        inputs_max: The most inputs in one call, as configured.
        per_token: How many of the ruler's units of length a token is, about.
        name: The name under which the model is offered; empty: that which its upstreams say.
    """

    def __init__(self, control: Control, *, inputs_max: int, per_token: int, name: str = "") -> None:
        self.fleet = Fleet((), 0)
        self.refusal = ""
        self.drained_per_s = 0.0
        self.has_batchers = self.may_come_back = True
        self._reported_mono_s: float | None = None  # no batcher was seen yet
        self._reports_seen: frozenset[tuple[str, int]] = frozenset()
        self._name = name
        self._inputs_max = inputs_max
        self._per_token = per_token
        self.allowed = self._allow()
        self.model: ServedModel | None = None
        self.names: dict[str, str] = {}
        self._pause_s = FIRST_LOOKS_S
        self._control = control
        self._looked: Callable[[Fleet], Awaitable[None]] | None = None
        self._looking = Periodic("fleet-watcher", self._look)
        self._learning: asyncio.Task[None] | None = None

    def open(self, looked: Callable[[Fleet], Awaitable[None]] | None = None) -> None:
        """Begin to look; `looked` is called with what is found by each look that Redis answers."""
        self._looked = looked
        self._looking.start()

    async def close(self) -> None:
        """Stop looking."""
        if self._learning is not None:
            self._learning.cancel()
        await self._looking.close()

    async def learn(self, fingerprint: str) -> None:
        """Look at once what a model is called that has answered before anything was known of it."""
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn(), name="model-name")
            self._looking.hurry()  # more than its name has changed
        await asyncio.wait({self._learning}, timeout=LEARN_S)
        if fingerprint not in self.names:
            self._note_name(fingerprint, "")  # so that one answer has waited for it

    async def depths(self) -> Depths:
        """Ask Redis what waits now; raises QueueUnavailable."""
        return await self._control.depths()

    async def cached(self) -> tuple[int, int]:
        """Ask Redis how many rows the result cache has, and their bytes; raises QueueUnavailable."""
        return await self._control.cached()

    async def _look(self) -> float:
        was_healthy, drained_per_s = self.fleet.is_healthy, self.fleet.drained_per_s
        try:
            self.fleet = await self._control.fleet()
        except QueueUnavailable as error:
            self._note_refusal(error)
            self.fleet = Fleet((), 0)
            self._note_outage(asyncio.get_running_loop().time())
        else:
            self.refusal = ""
            self._note_reports(asyncio.get_running_loop().time())
            if self._looked is not None:
                await self._looked(self.fleet)
        self.drained_per_s = rate_of_looks(drained_per_s, self.fleet.drained_per_s)
        if self.fleet.upstreams:
            self.allowed = self._allow()
        self._note_models(self.fleet)
        if self.fleet.is_healthy != was_healthy:
            log.info("health_changed", extra={"is_healthy": self.fleet.is_healthy})
        self._pause_s = LOOK_EVERY_S if self.fleet.is_healthy else min(self._pause_s * GROWTH, LOOK_EVERY_S)
        return self._pause_s

    def _note_refusal(self, error: QueueUnavailable) -> None:
        before, self.refusal = self.refusal, refusal_of(error)
        if self.refusal not in ("", before):
            log.error("redis_refuses", extra={"error": str(error)})

    async def _learn(self) -> None:
        with suppress(QueueUnavailable):  # then the next look says so
            self._note_models(await self._control.fleet())

    def _note_models(self, fleet: Fleet) -> None:
        for upstream in fleet.upstreams:
            if upstream.counts_for and upstream.card.name:
                self._note_name(upstream.counts_for, upstream.card.name)
        if fleet.model is not None:  # else Redis may have lost it for a moment
            self._note_model(fleet.model)

    def _note_model(self, model: ServedModel) -> None:
        if self.model is not None and model.fingerprint != self.model.fingerprint:
            log.info("model_changed", extra={"before": self.model.shown, "now": model.shown})
        self.model = model
        self._note_name(model.fingerprint, model.name)

    def _note_name(self, fingerprint: str, name: str) -> None:
        self.names.pop(fingerprint, None)
        self.names[fingerprint] = name
        if len(self.names) > NAMES_MAX:
            del self.names[next(iter(self.names))]

    def _note_reports(self, now_mono_s: float) -> None:
        """Learn whether batchers are missing.

        A report counts when it is seen first: after a step back of Redis's clock the last one of a dead batcher is of a time
        to come, and would be fresh once more.
        """
        fleet, seen = self.fleet, self._reports_seen
        ms_ago = min(
            [fleet.now_ms - each.at for each in fleet.batchers if (each.id, each.at) not in seen], default=None
        )
        self._reports_seen = fleet.reported
        if ms_ago is not None:
            self._reported_mono_s = max(now_mono_s - max(ms_ago, 0) / 1000, self._reported_mono_s or float("-inf"))
        had_batchers, reported_mono_s = self.has_batchers, self._reported_mono_s
        silent_s = float("inf") if reported_mono_s is None else now_mono_s - reported_mono_s
        self.has_batchers, self.may_come_back = silent_s < ABSENT_AFTER_S, silent_s < GONE_AFTER_S
        if had_batchers and not self.has_batchers and not self.fleet.announced:
            log.error("no_batcher")

    def _note_outage(self, now_mono_s: float) -> None:
        """Without Redis nothing is known; after it, batchers that were seen need a moment to report again."""
        self.has_batchers = self.may_come_back = True
        if self._reported_mono_s is not None:
            self._reported_mono_s = now_mono_s

    def _allow(self) -> Allowed:
        fleet = self.fleet
        return Allowed(
            job_inputs_max=min(self._inputs_max, fleet.batch_inputs_max),
            length_max=fleet.input_tokens_max * self._per_token,
            countable_characters_max=fleet.input_tokens_max * CHARACTERS_PER_TOKEN_MAX,
            served_model=self._name or fleet.card.name,
            alias=ROOT_ROUTES[fleet.card.kind],
            request_bytes_max=fleet.request_bytes_max,
            dimension=fleet.model.dimension if fleet.model else None,
            job_length_max=fleet.batch_tokens_max * self._per_token,
        )
