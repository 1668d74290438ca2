"""Keep all upstreams of a namespace at one model: follow the record in Redis, and move it when the whole fleet has changed.

1. The first batcher that has asked all its upstreams sets the record. All follow it; an upstream that serves another model
   is not called.
2. Once no upstream of any live batcher counts for the record's model, any batcher moves it. Redis has it replaced only if
   it is still the one that the batcher knows, so it moves once.
3. A batcher that never had an upstream of the record's model has seen no change: those that had one may have died. It
   moves the record only a while after an upstream last counted for it.
4. A batcher sets the record that it follows again where Redis has lost it.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.models import ServedModel, next_model
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.model_record import ModelRecord

log = logging.getLogger(__name__)


class ModelKeeper:
    """The view that one batcher has of the namespace's model.

    Args:
        upstreams: All upstreams.
        record: The record in Redis.
        control: Reads the reports of all batchers.
        clock: Redis's clock.
        change_after_ms: Milliseconds after an upstream last counted for the record's model, before which a batcher that
            never had one of that model leaves it.
    """

    def __init__(
        self,
        upstreams: Sequence[Replica],
        record: ModelRecord,
        control: Control,
        clock: RedisClock,
        change_after_ms: int,
    ) -> None:
        self._upstreams = upstreams
        self._record = record
        self._control = control
        self._clock = clock
        self._change_after_ms = change_after_ms
        self._model: ServedModel | None = None
        self._had_it = False  # an upstream of its model

    def start(self) -> None:
        """Let no upstream be called before the namespace's model is known."""
        for upstream in self._upstreams:
            upstream.wait_for_model(asyncio.get_running_loop().time())

    @property
    def is_settled(self) -> bool:
        """Whether every upstream serves the namespace's model."""
        return not any(upstream.standing.reason for upstream in self._upstreams)

    async def look(self) -> None:
        """Follow the record; set or move it where that is due.

        Raises:
            QueueUnavailable: Redis is unavailable.
        """
        kept = self._model if self._counts else None
        self._had_it = self._had_it or kept is not None
        self._follow(await self._record.agree(self._model or self._first(), counted=kept))
        if self._model is None or self.is_settled:
            return
        fleet = await self._control.fleet()
        counted = [upstream.counts_for for upstream in fleet.upstreams]
        chosen = next_model(self._model, counted, self._served)
        if chosen is not None:
            after_ms = 0 if self._had_it else self._change_after_ms
            self._follow(await self._record.agree(self._dated(chosen), instead_of=self._model, after_ms=after_ms))

    def _first(self) -> ServedModel | None:
        """The model to begin with: that of the first upstream, once each was asked."""
        if not all(upstream.standing.is_tried for upstream in self._upstreams):
            return None
        served = self._served
        return self._dated(served[0]) if served else None

    @property
    def _counts(self) -> bool:
        """Whether an upstream of this batcher counts for the namespace's model."""
        model, now_s = self._model, asyncio.get_running_loop().time()
        return model is not None and any(upstream.standing.keeps(model, now_s) for upstream in self._upstreams)

    @property
    def _served(self) -> list[ServedModel]:
        return [each for each in (upstream.standing.served for upstream in self._upstreams) if each is not None]

    def _dated(self, model: ServedModel) -> ServedModel:
        return msgspec.structs.replace(model, since=self._clock.now_ms())

    def _follow(self, model: ServedModel | None) -> None:
        if model is None or model == self._model:
            return
        before, self._model = self._model, model
        if before is None or before.fingerprint != model.fingerprint:
            self._had_it = self._counts
            log.info("model_changed", extra={"before": before and before.shown, "now": model.shown})
        for upstream in self._upstreams:
            upstream.follow(model, asyncio.get_running_loop().time())
