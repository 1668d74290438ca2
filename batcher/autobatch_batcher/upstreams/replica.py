"""What this batcher knows of one upstream: its health, what it serves, how its calls go, and what it is doing for us."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from autobatch_batcher.dialects.base import Answer, Condition, Dialect, Post
from autobatch_batcher.upstreams.breaker import Breaker
from autobatch_batcher.upstreams.congestion import Congestion
from autobatch_batcher.upstreams.http_client import NO_ANSWER, PROBE_TIMEOUT_S, HttpClient, cause_of
from autobatch_batcher.upstreams.limits import Limits, lowered
from autobatch_batcher.upstreams.tuning import NO_CALL_SEEN, LeastCall, Tuner
from autobatch_shared.contract.cards import NO_CARD
from autobatch_shared.contract.errors import UpstreamTimeout, UpstreamUnavailable
from autobatch_shared.contract.status import UpstreamStatus

log = logging.getLogger(__name__)

Told = Callable[["Replica"], None]

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

    Attributes:
        down_since_s: Since when it cannot be reached, in seconds of the loop's clock; None: it can be, as far as is known.
        went_down: Is called whenever it is found that it cannot be reached any more.

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
        self.congestion = Congestion()
        self.down_since_s: float | None = None
        self.went_down: Told = lambda _replica: None
        self.load = ReplicaLoad()
        self._dialect = dialect
        self._configured = configured
        self._answered_mono_s = float("-inf")
        self._health_mono_s: float | None = None  # of its last change

    @property
    def failing_since_s(self) -> float | None:
        """Since when it has not been reached, or has only failed; None: there is no such outage."""
        return self.down_since_s if self.down_since_s is not None else self.breaker.failing_since_s

    def least_call(self, now_s: float) -> LeastCall:
        """Return what a call takes at least; unknown of one that is idle, as only a call can show what it takes now."""
        return self.tuner.recent.least(now_s) if self.load.calls else NO_CALL_SEEN

    def status(self) -> UpstreamStatus:
        """What to publish of it."""
        return UpstreamStatus(
            url=self.name,
            is_healthy=self.is_healthy,
            batch_inputs_max=self.limits.inputs_max,
            in_flight=self.load.inputs,
            request_bytes_max=self.limits.body_bytes_max - self._dialect.growth_bytes_max,
            card=self.card,
            unchanged_ms=self._unchanged_ms(),
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
            self._set_reachable(reachable=False)
            self._set_health(healthy=False, why=exc.cause or type(exc).__name__)
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
            self._set_reachable(reachable=True)
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
                    reachable = response.status < 500  # not every server has such a path
                if healthy:
                    await self._learn()
        except Exception as exc:  # noqa: BLE001  # whatever keeps us from asking: it is not well
            if asyncio.get_running_loop().time() - self._answered_mono_s > PROBE_TIMEOUT_S:
                why = cause_of(exc)
                if why != NO_ANSWER:
                    self._set_reachable(reachable=False)
                self._set_health(healthy=False, why=why)
            # else it is busy: its health waits behind the calls that it answers
        else:
            self._set_reachable(reachable=reachable)
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

    def _set_reachable(self, *, reachable: bool) -> None:
        if reachable:
            if self.down_since_s is not None:
                self.down_since_s = None
                self.breaker.reached()
        elif self.down_since_s is None:
            self.down_since_s = asyncio.get_running_loop().time()
            self.went_down(self)

    def _unchanged_ms(self) -> int:
        """Milliseconds since its health changed, or since it was first known."""
        if self._health_mono_s is None:
            return 0
        return int((asyncio.get_running_loop().time() - self._health_mono_s) * 1000)

    def _set_health(self, *, healthy: bool, why: str) -> None:
        if healthy != self.is_healthy or self._health_mono_s is None:
            self._health_mono_s = asyncio.get_running_loop().time()
        if healthy != self.is_healthy:
            log.log(
                logging.INFO if healthy else logging.WARNING,
                "upstream_health_changed",
                extra={"upstream": self.name, "is_healthy": healthy, "why": why},
            )
        self.is_healthy = healthy
