"""What this batcher knows of one upstream: its health, what it serves, how its calls go, and what it is doing for us."""

import asyncio
import logging
from dataclasses import dataclass

from autobatch_batcher.dialects.base import Answer, Condition, Dialect, Post
from autobatch_batcher.upstreams.breaker import Breaker
from autobatch_batcher.upstreams.http_client import PROBE_TIMEOUT_S, HttpClient
from autobatch_batcher.upstreams.limits import Limits, lowered
from autobatch_batcher.upstreams.tuning import NO_CALL_SEEN, LeastCall, Tuner
from autobatch_shared.contract.cards import NO_CARD
from autobatch_shared.contract.errors import UpstreamTimeout, UpstreamUnavailable
from autobatch_shared.contract.status import UpstreamStatus

log = logging.getLogger(__name__)

TIMEOUT_OF_ITS_OWN_S = 1.0  # below it a client was impatient


@dataclass(slots=True)
class ReplicaLoad:
    """What one upstream is doing for this batcher.

    Attributes:
        calls: Number of calls in flight.
        inputs: Number of inputs in these calls.
        work: Sum of the inputs and units of these calls, by which upstreams are compared.
    """

    calls: int = 0
    inputs: int = 0
    work: int = 0


class Replica:
    """One upstream of several that are alike.

    Args:
        name: Its URL, which may be shown.
        client: Sends the calls to it.
        dialect: The API that it speaks.
        configured: The limits that our settings give, which its card may only lower.
        tuner: Learns from its calls.
    """

    def __init__(self, name: str, client: HttpClient, dialect: Dialect, configured: Limits, tuner: Tuner) -> None:
        self.name = name
        self.client = client
        self.limits = configured
        self.card = NO_CARD
        self.is_healthy = False
        self.tuner = tuner
        self.breaker = Breaker()
        self.load = ReplicaLoad()
        self._dialect = dialect
        self._configured = configured
        self._answered_mono_s = float("-inf")

    def least_call(self, now_s: float) -> LeastCall:
        """Return what a call takes at least; unknown of one that is idle, as only a call can show what it takes now."""
        return self.tuner.recent.least(now_s) if self.load.calls else NO_CALL_SEEN

    def status(self, batch_inputs_max: int) -> UpstreamStatus:
        """Return what to publish of it, where one call of this batcher may have so many inputs."""
        return UpstreamStatus(
            url=self.name,
            is_healthy=self.is_healthy,
            batch_inputs_max=batch_inputs_max,
            in_flight=self.load.inputs,
            request_bytes_max=self.limits.body_bytes_max - self._dialect.growth_bytes_max,
            card=self.card,
        )

    async def call(self, post: Post, timeout_s: float) -> Answer:
        """Make one call, and learn from it how the upstream is.

        Raises:
            UpstreamUnavailable, UpstreamTimeout: As `HttpClient.send` does.
        """
        loop = asyncio.get_running_loop()
        breaker = self.breaker
        if not breaker.is_closed:
            breaker.called()
        try:
            answer = await self.ask(post, timeout_s)
        except UpstreamTimeout:
            if timeout_s >= TIMEOUT_OF_ITS_OWN_S:
                breaker.failed(loop.time())
            else:
                breaker.learnt_nothing()
            raise
        except UpstreamUnavailable as exc:
            breaker.failed(loop.time())
            self._set_health(healthy=False, why=type(exc.__cause__).__name__)
            raise
        except BaseException:
            breaker.learnt_nothing()
            raise
        condition = self._dialect.condition(answer)
        if condition is Condition.FAILING:
            breaker.failed(loop.time())
        elif condition is Condition.UNKNOWN:
            breaker.learnt_nothing()
        elif not breaker.is_quiet:
            breaker.succeeded()
        if answer.status == 200:
            self._answered_mono_s = loop.time()
            self._set_health(healthy=True, why="answered")
        return answer

    async def ask(self, post: Post, timeout_s: float) -> Answer:
        """Make one call that says nothing of how the upstream computes: one that cannot any more may count tokens for long.

        Raises:
            UpstreamUnavailable, UpstreamTimeout: As `HttpClient.send` does.
        """
        return self._dialect.understood(await self.client.send(post, timeout_s))

    async def probe(self) -> None:
        """Ask for its health and its card: it may be started anew with other limits, or another model, between two."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                async with self.client.get(self._dialect.health_path) as response:
                    healthy = response.status == 200
                if healthy:
                    await self._learn()
        except Exception as exc:  # noqa: BLE001  # whatever keeps us from asking: it is not well
            if asyncio.get_running_loop().time() - self._answered_mono_s > PROBE_TIMEOUT_S:
                self._set_health(healthy=False, why=type(exc).__name__)
            # else it is busy: its health waits behind the calls that it answers
        else:
            self._set_health(healthy=healthy, why="probed")

    async def listens(self) -> bool:
        """Whether it answers now, in whatever way; one that is only slow does."""
        return await self.client.listens(self._dialect.health_path)

    async def _learn(self) -> None:
        """Read its card; one without any keeps the configured limits, and one that fails to say keeps its last card."""
        async with self.client.get(self._dialect.card_path) as response:
            if response.status not in (200, 404):
                return
            self.card = self._dialect.card(await response.read()) if response.status == 200 else NO_CARD
        limits = lowered(self._configured, self.card)
        if limits != self.limits:
            log.info("upstream_limits", extra={"upstream": self.name, "inputs_max": limits.inputs_max})
        self.limits = limits

    def _set_health(self, *, healthy: bool, why: str) -> None:
        if healthy != self.is_healthy:
            log.log(
                logging.INFO if healthy else logging.WARNING,
                "upstream_health_changed",
                extra={"upstream": self.name, "is_healthy": healthy, "why": why},
            )
        self.is_healthy = healthy
