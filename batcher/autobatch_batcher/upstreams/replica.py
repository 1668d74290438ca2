"""One upstream of several that are alike: calls to it, and what each says of how it is."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from autobatch_batcher.dialects.base import Answer, AskedRows, Condition, Dialect, Post
from autobatch_batcher.dialects.rows import components
from autobatch_batcher.dialects.verdict import INPUT_ERRORS, OURS, OUTAGES, PERHAPS_INPUT_ERRORS, UNAUTHORIZED
from autobatch_batcher.tuning.pacing import Pacing
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.upstream_client import UpstreamClient
from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.prober import SAMPLE_TIMEOUT_S, Prober
from autobatch_batcher.upstreams.replica_state import ReplicaState
from autobatch_batcher.upstreams.standing import Standing
from autobatch_shared.contract.errors import (
    AutobatchError,
    InvalidAnswer,
    UpstreamBroken,
    UpstreamChanged,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from autobatch_shared.contract.status import NO_ANSWER
from autobatch_shared.watching.upstream_words import INVALID_ANSWER

BAD_REQUEST = 400  # from this status on an answer is an error
TIMEOUT_OF_ITS_OWN_S = 1.0  # below it a client was impatient
SAMPLE_ROUTES = {"embedding": "/embed", "sparse": "/embed_sparse"}


class Replica(ReplicaState):
    """An upstream that can be called.

    Attributes:
        prober: Asks it how it is and what it serves.

    Args:
        name: Its URL, which may be shown.
        client: Sends the calls to it.
        dialects: The APIs that it may speak, the likeliest first.
        configured: The limits that our settings give, which its card may only lower.
        tuner: Learns from its calls.
        standing: Whether it serves the namespace's model; None: it may be called, whatever it serves.
        pacing: What it may be asked in a minute; None: it does not count.
    """

    def __init__(
        self,
        name: str,
        client: UpstreamClient,
        dialects: Sequence[Dialect],
        configured: Limits,
        tuner: Tuner,
        standing: Standing | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        super().__init__(name, dialects[0], configured, tuner, standing or Standing())
        self.client = client
        self.pacing = pacing
        self.prober = Prober(self, client, dialects)
        self._refusals = 0  # of connections
        self._blamed: frozenset[bytes] = frozenset()  # inputs of which each may explain the last invalid answers
        self._asking_ours = asyncio.Lock()
        self._asked_ours = 0  # times
        self._answered_ours = False
        self._is_at_fault = False  # at what it failed at, as another upstream has shown

    async def call(self, post: Post, timeout_s: float, asked: AskedRows | None = None) -> Answer:
        """Make one call, and learn from it how the upstream is.

        Args:
            post: The call.
            timeout_s: Seconds that it may take.
            asked: The rows that a good answer has; None: it may have anything.

        Raises:
            UpstreamUnavailable, UpstreamTimeout: As `UpstreamClient.send` does.
            UpstreamChanged: It may have become another model meanwhile; its answer is not used.
            InvalidAnswer: It names no error, and has not these rows, or cannot be read.
        """
        loop = asyncio.get_running_loop()
        breaker, fingerprint, refusals = self.breaker, self.standing.fingerprint, self._refusals
        if not breaker.is_closed:
            breaker.called()
        try:
            answer = await self.ask(post, timeout_s)
            cut = answer if answer.status >= BAD_REQUEST else self._cut(answer, asked)
            # What was refused is newer than this call.
            is_draining = self._refusals > refusals and not answer.was_sent_again
            is_of_inputs = await self._are_inputs_to_blame(post, asked, cut, timeout_s)
        except UpstreamError as exc:
            if isinstance(exc, UpstreamBroken):
                exc.lives = await self.listens() and await self.answers_ours(timeout_s)
            self._note_unanswered(exc, timeout_s, loop.time())
            raise
        except BaseException:
            breaker.learnt_nothing()
            raise
        if isinstance(cut, Answer):
            self._note_answer(post, cut, loop.time(), is_draining=is_draining, is_of_inputs=is_of_inputs)
        else:
            self._note_invalid(answer, asked, loop.time(), is_of_inputs=is_of_inputs)
        if answer.status in UNAUTHORIZED:
            await self.prober.ask_limits()
        await self._see_who_answered(answer)
        if answer.status in OURS and self.card.kind == "embedding":
            await self.prober.ask_vector()
        if self.standing.fingerprint != fingerprint:
            raise self._changed()
        if isinstance(cut, Answer):
            return cut
        try:
            raise cut
        finally:
            del cut  # it holds this frame now, and with it the whole answer, until garbage is collected

    def blame_no_input(self) -> None:
        """Another upstream has answered what this one failed at: until it answers a job well, that is its own fault."""
        self._blamed = frozenset()
        self._is_at_fault = True

    async def try_without_job(self) -> None:
        """Call it with a text of ours where no job does: it was taken out here, or by another batcher that calls it.

        Else it would stay out until the next request, or this batcher would go on to say that it is well.
        """
        now_s = asyncio.get_running_loop().time()
        is_due = self.is_in_doubt or self.breaker.may_try(now_s)
        if not is_due or not self.is_usable or self.load.calls or self.load.beside:
            return
        asked = self._ours()
        with suppress(AutobatchError):  # it is noted with the call
            await self.call(self.dialect.compose(asked.route, asked.inputs, None), SAMPLE_TIMEOUT_S, asked)

    async def answers_ours(self, timeout_s: float = SAMPLE_TIMEOUT_S, *, clears: bool = True) -> bool:
        """Whether it answers a text of ours now: then it is well, and what it fails at is to blame for that.

        Args:
            timeout_s: Seconds that it may take; all who ask meanwhile are told the same.
            clears: Whether its failures count no more then.
        """
        asked_before = self._asked_ours
        async with self._asking_ours:
            if self._asked_ours == asked_before:
                self._answered_ours = await self._ask_ours(min(timeout_s, SAMPLE_TIMEOUT_S))
                self._asked_ours += 1
            if self._answered_ours and clears:
                self._note_well(asyncio.get_running_loop().time())
                self.breaker.succeeded()
            return self._answered_ours

    async def ask(self, post: Post, timeout_s: float) -> Answer:
        """Make one call that says nothing of how the upstream computes: one that cannot any more may count tokens for long.

        Raises:
            UpstreamUnavailable, UpstreamTimeout: As `UpstreamClient.send` does.
        """
        dialect, pacing = self.dialect, self.pacing
        if pacing is not None:
            pacing.called()
        return dialect.understood(await self.client.send(post, timeout_s))

    @property
    def is_idle(self) -> bool:
        """Whether a call that is made now waits for no other one there. Where calls are counted, each waits to be full."""
        return self.load.calls == 0 or (self.tuner.is_known_side_by_side and not self.limits.are_calls_counted)

    async def listens(self) -> bool:
        """Whether it answers now, in whatever way; one that is only slow does."""
        return await self.client.listens(self.dialect.ask_health)

    async def _see_who_answered(self, answer: Answer) -> None:
        """Ask for its card again where another server may have answered: on a new connection, or after it was away."""
        if answer.status in OUTAGES:
            self.away_s = asyncio.get_running_loop().time()
            return
        since_s = max(self.client.connected_s, self.away_s)
        if since_s > self.prober.card_asked_s and self.standing.served is not None:
            await self.prober.ask_again(since_s)

    def _changed(self) -> UpstreamChanged:
        return UpstreamChanged(self.standing.told).because(self.standing.silence or "model changed")

    def _ours(self) -> AskedRows:
        route, sample = SAMPLE_ROUTES.get(self.card.kind, "/predict"), self.dialect.sample
        return AskedRows(route, [b"[%b]" % sample if route == "/predict" else sample])

    async def _ask_ours(self, timeout_s: float) -> bool:
        asked = self._ours()
        try:
            answer = await self.ask(self.dialect.compose(asked.route, asked.inputs, None), timeout_s)
        except AutobatchError:
            return False
        cut = self._cut(answer, asked)
        if answer.status >= BAD_REQUEST or not isinstance(cut, Answer):
            return False
        return asked.route != "/embed" or self.dimension in (None, components(cut.rows))

    async def _are_inputs_to_blame(
        self, post: Post, asked: AskedRows | None, cut: Answer | InvalidAnswer, timeout_s: float
    ) -> bool:
        """Whether it is well, though it has failed so often that it would be taken out for this answer.

        Many inputs at once on which a model fails look like an outage, and would take it from all others.
        """
        if isinstance(cut, Answer):
            is_open = cut.status in OUTAGES or (cut.status in PERHAPS_INPUT_ERRORS and not post.may_be_faulty)
            if not is_open or self.dialect.condition(cut) is not Condition.FAILING:
                return False
        is_due = self.breaker.is_at_its_last and asked != self._ours()
        return is_due and not self._is_at_fault and await self.answers_ours(timeout_s)

    def _cut(self, answer: Answer, asked: AskedRows | None) -> Answer | InvalidAnswer:
        """Return the answer, with the rows that were asked for, or what it is without them."""
        if answer.flaw:
            return _invalid(answer.flaw)
        if asked is None:
            return answer
        if answer.status != 200:  # of a redirect, of a part: whatever it has is not what was asked for
            return _invalid(f"The upstream answered {answer.status}")
        try:
            return replace(answer, rows=self.dialect.cut(answer, asked.route, len(asked.inputs), asked.may_be_empty))
        except UpstreamProtocolError as exc:
            return _invalid(str(exc))

    def _note_invalid(self, answer: Answer, asked: AskedRows | None, now_s: float, *, is_of_inputs: bool) -> None:
        """Count an invalid answer as an outage, unless a single input explains it and those before it."""
        self.failures.calls += 1
        self.failures.failed(INVALID_ANSWER, 0.0, now_s)
        inputs = frozenset(asked.inputs) if asked is not None and not answer.flaw else frozenset()
        in_all = self._blamed & inputs
        self._blamed = in_all or inputs
        if is_of_inputs or (in_all and self.breaker.is_closed):
            self.breaker.learnt_nothing()
        else:
            self.breaker.failed(now_s)

    def _note_unanswered(self, error: UpstreamError, timeout_s: float, now_s: float) -> None:
        is_timeout = isinstance(error, UpstreamTimeout)
        is_impatient = is_timeout and timeout_s < TIMEOUT_OF_ITS_OWN_S
        self.failures.calls += 1
        if not is_impatient:
            self.failures.failed(NO_ANSWER if is_timeout else error.cause, timeout_s, now_s)
        lives = isinstance(error, UpstreamBroken) and error.lives
        if is_impatient or lives or not isinstance(error, (UpstreamTimeout, UpstreamUnavailable)):
            self.breaker.learnt_nothing()
        else:
            self.breaker.failed(now_s)
        if isinstance(error, UpstreamUnavailable) and not lives:
            if not isinstance(error, UpstreamBroken):
                self._refusals += 1
            self.away_s = now_s
            self.set_reachable(reachable=False, now_s=now_s)
            self.set_health(healthy=False, why=error.cause or type(error).__name__, now_s=now_s)

    def _note_answer(self, post: Post, answer: Answer, now_s: float, *, is_draining: bool, is_of_inputs: bool) -> None:
        self.failures.calls += 1
        if answer.status != 200 and not is_of_inputs:
            self._note_error(post, answer, now_s)
        if is_draining or is_of_inputs or (post.may_be_faulty and answer.status in PERHAPS_INPUT_ERRORS):
            self.breaker.learnt_nothing()
            return
        self._note_condition(self.dialect.condition(answer), now_s)
        if answer.status == 200:
            self._is_at_fault = False
            self._note_well(now_s)

    def _note_well(self, now_s: float) -> None:
        self.answered_s = now_s
        self.set_reachable(reachable=True, now_s=now_s)
        self.set_health(healthy=True, why="answered", now_s=now_s)

    def _note_error(self, post: Post, answer: Answer, now_s: float) -> None:
        """Count an answer as a failure, unless an input may be to blame for it, or the client that wrote the request."""
        status = answer.status
        if status in INPUT_ERRORS or (post.may_be_faulty and status in (OURS | PERHAPS_INPUT_ERRORS) - UNAUTHORIZED):
            return
        if status not in PERHAPS_INPUT_ERRORS or self.dialect.condition(answer) is Condition.FAILING:
            self.failures.failed(f"status {status}", 0.0, now_s)

    def _note_condition(self, condition: Condition, now_s: float) -> None:
        breaker = self.breaker
        if condition is Condition.FAILING:
            breaker.failed(now_s)
        elif condition is Condition.UNKNOWN:
            breaker.learnt_nothing()
        elif not breaker.is_quiet:
            breaker.succeeded()


def _invalid(said: str) -> InvalidAnswer:
    return InvalidAnswer(said).because(f"{INVALID_ANSWER}: {said}")
