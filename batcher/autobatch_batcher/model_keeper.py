"""Keep all upstreams of a namespace at one model: follow the record in Redis, and move it when the whole fleet has changed.

1. The first batcher that has asked all its upstreams sets the record. All follow it; an upstream that serves another model
   is not called.
2. Once no upstream of any live batcher counts for the record's model, any batcher moves it. Redis has it replaced only if
   it is still the one that the batcher knows, so it moves once.
3. A batcher sets the record that it follows again where Redis has lost it.
"""

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
    """

    def __init__(self, upstreams: Sequence[Replica], record: ModelRecord, control: Control, clock: RedisClock) -> None:
        self._upstreams = upstreams
        self._record = record
        self._control = control
        self._clock = clock
        self._model: ServedModel | None = None

    def start(self) -> None:
        """Let no upstream be called before the namespace's model is known."""
        for upstream in self._upstreams:
            upstream.wait_for_model()

    @property
    def is_settled(self) -> bool:
        """Whether every upstream serves the namespace's model."""
        return not any(upstream.standing.reason for upstream in self._upstreams)

    async def look(self) -> None:
        """Follow the record; set or move it where that is due.

        Raises:
            QueueUnavailable: Redis is unavailable.
        """
        self._follow(await self._record.agree(self._model or self._first()))
        if self._model is None or self.is_settled:
            return
        fleet = await self._control.fleet()
        counted = [upstream.counts_for for upstream in fleet.upstreams]
        chosen = next_model(self._model, counted, self._served)
        if chosen is not None:
            self._follow(await self._record.agree(self._dated(chosen), instead_of=self._model))

    def _first(self) -> ServedModel | None:
        """The model to begin with: that of the first upstream, once each was asked."""
        if not all(upstream.standing.is_tried for upstream in self._upstreams):
            return None
        served = self._served
        return self._dated(served[0]) if served else None

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
            log.info("model_changed", extra={"before": before and before.shown, "now": model.shown})
        for upstream in self._upstreams:
            upstream.follow(model)
