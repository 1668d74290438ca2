"""What this worker knows about the batchers: one look per second, for all health probes and `/info` calls together."""

import logging

from autobatch_proxy.queue.admission import confirmed_rate
from autobatch_proxy.requests.plan import Allowed
from autobatch_shared.contract.cards import ModelKind
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.status import Fleet
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.control import Control

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
LOOK_EVERY_UNHEALTHY_S = 0.1  # a start may be waiting for readiness


class FleetWatcher:
    """Keeps `fleet` true to within about a second; empty while Redis is unavailable.

    Attributes:
        drained_per_s: The rate by which requests may be refused: what the last two looks agree on, 0 while it is unknown.

    Args:
        control: Reads the batchers' reports from Redis.
        inputs_max: The most inputs in one call, as configured.
        per_token: How many of the ruler's units of length a token is, about.
    """

    def __init__(self, control: Control, *, inputs_max: int, per_token: int) -> None:
        self.fleet = Fleet((), 0)
        self.drained_per_s = 0.0
        self._inputs_max = inputs_max
        self._per_token = per_token
        #: What a job may have; while no batcher reports, what the last one said.
        self.allowed = self._allow()
        self._control = control
        self._looking = Periodic("fleet-watcher", self._look)

    def open(self) -> None:
        """Begin to look."""
        self._looking.start()

    async def close(self) -> None:
        """Stop looking."""
        await self._looking.close()

    async def _look(self) -> float:
        was_healthy, drained_per_s = self.fleet.is_healthy, self.fleet.drained_per_s
        try:
            self.fleet = await self._control.fleet()
        except QueueUnavailable:
            self.fleet = Fleet((), 0)
        self.drained_per_s = confirmed_rate(drained_per_s, self.fleet.drained_per_s)
        if self.fleet.upstreams:
            self.allowed = self._allow()
        if self.fleet.is_healthy != was_healthy:
            log.info("health_changed", extra={"is_healthy": self.fleet.is_healthy})
        return LOOK_EVERY_S if self.fleet.is_healthy else LOOK_EVERY_UNHEALTHY_S

    def _allow(self) -> Allowed:
        fleet = self.fleet
        return Allowed(
            job_inputs_max=min(self._inputs_max, fleet.batch_inputs_max),
            length_max=fleet.input_tokens_max * self._per_token,
            countable_characters_max=fleet.input_tokens_max * CHARACTERS_PER_TOKEN_MAX,
            served_model=fleet.card.name,
            alias=ROOT_ROUTES[fleet.card.kind],
            request_bytes_max=fleet.request_bytes_max,
        )
