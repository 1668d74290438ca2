"""What this batcher knows of one upstream: its health, what it serves, how its calls go, and what it is doing for us.

More than 250 lines, because calls and probes learn the same things: health, card, and whether it may be called at all.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from autobatch_batcher.dialects.base import Answer, Condition, Dialect, Post
from autobatch_batcher.dialects.rows import components
from autobatch_batcher.dialects.verdict import OVERLOADED
from autobatch_batcher.upstreams.breaker import Breaker
from autobatch_batcher.upstreams.congestion import Congestion
from autobatch_batcher.upstreams.http_client import NO_ANSWER, PROBE_TIMEOUT_S, CallConnection, HttpClient, cause_of
from autobatch_batcher.upstreams.limits import Limits, lowered
from autobatch_batcher.upstreams.standing import NO_RECORD, NOT_LEARNT, Standing
from autobatch_batcher.upstreams.tuning import NO_CALL_SEEN, LeastCall, Tuner
from autobatch_shared.contract.cards import NO_CARD, Card
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamChanged, UpstreamTimeout, UpstreamUnavailable
from autobatch_shared.contract.models import ServedModel, model_of
from autobatch_shared.contract.status import UpstreamStatus

log = logging.getLogger(__name__)

Told = Callable[["Replica"], None]

TIMEOUT_OF_ITS_OWN_S = 1.0  # below it a client was impatient
DIMENSION_INPUT = b'"What is the dimension of a vector?"'
DIMENSION_TIMEOUT_S = 10.0  # it waits behind other calls, and the first pass of a server takes longest
LIMITS_EVERY_S = 1.0  # a client that sends only bad lists must not double the upstream's requests
NO_CARD_STATUSES = {404, 405, 501}  # of a server that does not describe itself
UNAUTHORIZED = {401, 403}  # they say nothing of a model


class Unlearnt(Exception):
    """An upstream answers, and not what it serves; the text says why."""


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
        went_down: Is called whenever it is found that it cannot be reached any more, or has to say again what it serves.
        dimension: Number of components of its vectors; None while that is unknown, or where it has none.

    Args:
        name: Its URL, which may be shown.
        client: Sends the calls to it.
        dialect: The API that it speaks.
        configured: The limits that our settings give, which its card may only lower.
        tuner: Learns from its calls.
        standing: Whether it serves the namespace's model; None: it may be called, whatever it serves.
    """

    def __init__(
        self,
        name: str,
        client: HttpClient,
        dialect: Dialect,
        configured: Limits,
        tuner: Tuner,
        standing: Standing | None = None,
    ) -> None:
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
        self.standing = standing or Standing()
        self.dimension: int | None = None
        self.load = ReplicaLoad()
        self._dialect = dialect
        self._configured = configured
        self._answered_mono_s = float("-inf")
        self._refusals = 0  # of connections
        self._fault = ""
        self._was_usable: bool | None = None  # None: never probed
        self._usable_mono_s = 0.0  # when that changed last
        self._excluded_mono_s: float | None = None
        self._card_asked_s = self._limits_asked_s = float("-inf")
        self._asking = asyncio.Lock()

    @property
    def failing_since_s(self) -> float | None:
        """Since when it has not been reached, has only failed, or is excluded; None: there is no such outage."""
        if self.down_since_s is not None:
            return self.down_since_s
        return self.breaker.failing_since_s if self.is_included else self._excluded_mono_s

    def least_call(self, now_s: float) -> LeastCall:
        """Return what a call takes at least; unknown of one that is idle, as only a call can show what it takes now."""
        return self.tuner.recent.least(now_s) if self.load.calls else NO_CALL_SEEN

    @property
    def is_included(self) -> bool:
        """Whether it serves the namespace's model."""
        return not self.standing.reason

    @property
    def is_usable(self) -> bool:
        """Whether it is well, and serves the namespace's model."""
        return self.is_healthy and self.is_included

    def wait_for_model(self) -> None:
        """Exclude it until the namespace's model is known."""
        self._change_standing(self.standing.wait_for_record)

    def follow(self, model: ServedModel) -> None:
        """Take note of the namespace's model."""
        self._change_standing(lambda: self.standing.follow(model))

    def status(self, batch_inputs_max: int) -> UpstreamStatus:
        """Return what to publish of it, where one call of this batcher may have so many inputs."""
        if self._answered_mono_s > 0:
            self.standing.was_well(self._answered_mono_s)
        # Of an upstream that has to say again what it serves the last card counts for nothing.
        is_known = self.is_included or self.standing.served is not None
        return UpstreamStatus(
            url=self.name,
            is_healthy=self.is_usable,
            batch_inputs_max=batch_inputs_max,
            in_flight=self.load.inputs,
            request_bytes_max=self.limits.body_bytes_max - self._dialect.growth_bytes_max,
            card=self.card if is_known else NO_CARD,
            counts_for=self.standing.counts_for(asyncio.get_running_loop().time()),
            reason=self.standing.reason,
            fault=self._fault,
            unchanged_ms=self._unchanged_ms(),
        )

    async def call(self, post: Post, timeout_s: float) -> Answer:
        """Make one call, and learn from it how the upstream is.

        Raises:
            UpstreamUnavailable, UpstreamTimeout: As `HttpClient.send` does.
            UpstreamChanged: It may have become another model meanwhile; its answer is not used.
        """
        loop = asyncio.get_running_loop()
        breaker, fingerprint, refusals = self.breaker, self.standing.fingerprint, self._refusals
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
            if not isinstance(exc, UpstreamBroken):
                self._refusals += 1
            self._set_reachable(reachable=False)
            self._set_health(healthy=False, why=exc.cause or type(exc).__name__)
            raise
        except BaseException:
            breaker.learnt_nothing()
            raise
        # What was refused is newer than this call.
        is_draining = self._refusals > refusals and not answer.was_sent_again
        self._note_answer(answer, loop.time(), is_draining=is_draining)
        if answer.status in UNAUTHORIZED:
            await self.ask_limits()
        if self.client.connected_s > self._card_asked_s and self.standing.served is not None:
            await self._ask_again(self.client.connected_s)
        if self.standing.fingerprint != fingerprint:
            raise UpstreamChanged
        return answer

    def _note_answer(self, answer: Answer, now_s: float, *, is_draining: bool) -> None:
        if is_draining:
            self.breaker.learnt_nothing()
            return
        self._note_condition(self._dialect.condition(answer), now_s)
        if answer.status == 200:
            self._answered_mono_s = now_s
            self._set_reachable(reachable=True)
            self._set_health(healthy=True, why="answered")

    def _note_condition(self, condition: Condition, now_s: float) -> None:
        breaker = self.breaker
        if condition is Condition.FAILING:
            breaker.failed(now_s)
        elif condition is Condition.UNKNOWN:
            breaker.learnt_nothing()
        elif not breaker.is_quiet:
            breaker.succeeded()

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
                    why = "probed" if healthy else f"status {response.status} at {self._dialect.health_path}"
                    reachable = response.status < 500  # not every server has such a path
                async with self._asking:
                    await self._ask_card()
            if self.standing.served is None:
                await self._learn()  # also of one that is not well: where none is, it is called all the same
        except Unlearnt as exc:
            self._set_reachable(reachable=True)
            self._exclude(str(exc))
        except Exception as exc:  # noqa: BLE001  # whatever keeps us from asking: it is not well
            if asyncio.get_running_loop().time() - self._answered_mono_s > PROBE_TIMEOUT_S:
                why = cause_of(exc)
                if why != NO_ANSWER:
                    self._set_reachable(reachable=False)
                self._set_health(healthy=False, why=why)
            # else it is busy: its health waits behind the calls that it answers
        else:
            self._set_reachable(reachable=reachable)
            self._set_health(healthy=healthy, why=why)
        if self.is_healthy:
            self.standing.was_well(asyncio.get_running_loop().time())
        self.standing.is_tried = True

    async def ask_limits(self) -> None:
        """Ask for its card, after an answer that a lowered limit would explain; at most once in LIMITS_EVERY_S."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._limits_asked_s >= LIMITS_EVERY_S:
            self._limits_asked_s = now_s
        await self._ask_again(self._limits_asked_s)

    def doubt(self) -> None:
        """Use it no more until it has said again what it serves: its rows are not those of its model."""
        self._change_standing(self.standing.doubt)
        self.went_down(self)

    def _exclude(self, why: str) -> None:
        """Use it no more until it says what it serves, which it does not for this reason."""
        self._change_standing(lambda: self.standing.doubt(why))
        self._set_health(healthy=False, why=why)

    async def listens(self) -> bool:
        """Whether it answers now, in whatever way; one that is only slow does."""
        return await self.client.listens(self._dialect.health_path)

    async def _ask_again(self, since_s: float) -> None:
        """Ask for its card, unless that was done after `since_s` on the loop's clock; one that cannot be asked is doubted."""
        async with self._asking:
            if self._card_asked_s >= since_s:
                return
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await self._ask_card()
            except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                log.info("card_not_asked", extra={"upstream": self.name, "why": cause_of(exc)})
                self.doubt()
            except Unlearnt as exc:
                self._exclude(str(exc))

    async def _ask_card(self) -> None:
        """Read its card; one without any keeps the configured limits, and one that fails to say keeps its last card.

        Raises:
            Unlearnt: It does not tell us.
        """
        asked_s, connection = asyncio.get_running_loop().time(), CallConnection(self.client)
        async with self.client.get(self._dialect.card_path, connection) as response:
            status, said = response.status, await response.read()
        if status == 200:
            self._take_card(self._dialect.card(said))
        elif status in NO_CARD_STATUSES:
            self._take_card(NO_CARD)
        elif status in UNAUTHORIZED:
            raise Unlearnt(_refusal(status, self._dialect.card_path))
        elif self._card_asked_s < 0:
            raise UpstreamUnavailable  # it has never said anything
        self._card_asked_s = max(asked_s, connection.made_s)

    def _take_card(self, card: Card) -> None:
        if self.standing.served is not None and (card.kind, card.identity) != (self.card.kind, self.card.identity):
            self.doubt()
        self.card = card
        limits = lowered(self._configured, self.card)
        if limits != self.limits:
            log.info("upstream_limits", extra={"upstream": self.name, "inputs_max": limits.inputs_max})
        self.limits = limits

    async def _learn(self) -> None:
        """Learn what it serves: its card, and the length of its rows, which it has to show.

        Raises:
            UpstreamError: It cannot compute now.
            Unlearnt: It has neither a card nor a vector, or refuses us.
        """
        card = self.card
        dimension = await self._ask_dimension() if card.kind == "embedding" else None
        if card.identity is None and dimension is None:
            raise Unlearnt(f"it has neither {self._dialect.card_path} nor a vector")
        if card == self.card:  # else it changed meanwhile, and the next probe learns it
            self.dimension = dimension
            self._change_standing(lambda: self.standing.learnt(model_of(card, dimension)))

    async def _ask_dimension(self) -> int | None:
        """Return the number of components of its vectors; None where it has none."""
        answer = await self.ask(self._dialect.compose("/embed", [DIMENSION_INPUT], None), DIMENSION_TIMEOUT_S)
        if answer.status == 200:
            return components(self._dialect.cut(answer, "/embed", 1, ()))
        if answer.status in UNAUTHORIZED:
            raise Unlearnt(_refusal(answer.status, "/embed"))
        if answer.status == OVERLOADED or self._dialect.condition(answer) is Condition.FAILING:
            raise UpstreamUnavailable
        return None

    def _change_standing(self, change: Callable[[], None]) -> None:
        before = self.standing.reason
        change()
        now = self.standing.reason
        if now == before:
            return
        self._excluded_mono_s = asyncio.get_running_loop().time()
        if now and self.standing.served is not None:
            log.warning("upstream_excluded", extra={"upstream": self.name, "reason": now})
        elif not now and before not in (NO_RECORD, NOT_LEARNT):  # as at every start
            log.info("upstream_included", extra={"upstream": self.name})
        self._note_usable()

    def _set_reachable(self, *, reachable: bool) -> None:
        if reachable:
            if self.down_since_s is not None:
                self.down_since_s = None
                self.breaker.reached()
        elif self.down_since_s is None:
            self.down_since_s = asyncio.get_running_loop().time()
            self.went_down(self)

    def _unchanged_ms(self) -> int:
        """Milliseconds for which it has been usable, or not; 0 before its first probe."""
        if self._was_usable is None:
            return 0
        return int((asyncio.get_running_loop().time() - self._usable_mono_s) * 1000)

    def _note_usable(self) -> None:
        if self.is_usable != self._was_usable:
            self._was_usable = self.is_usable
            self._usable_mono_s = asyncio.get_running_loop().time()

    def _set_health(self, *, healthy: bool, why: str) -> None:
        if healthy != self.is_healthy:
            log.log(
                logging.INFO if healthy else logging.WARNING,
                "upstream_health_changed",
                extra={"upstream": self.name, "is_healthy": healthy, "why": why},
            )
        self.is_healthy = healthy
        self._fault = "" if healthy else why
        self._note_usable()


def _refusal(status: int, path: str) -> str:
    return f"it answers {status} to {path}: INFERENCE_API_KEY"
