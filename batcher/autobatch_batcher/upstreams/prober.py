"""Ask an upstream how it is, what it serves and what it takes: it may be another one, or take less, between two calls."""

import asyncio
from collections.abc import Sequence

import aiohttp

from autobatch_batcher.dialects.base import Condition, Dialect
from autobatch_batcher.dialects.rows import components
from autobatch_batcher.dialects.verdict import OURS, OUTAGES, OVERLOADED, UNAUTHORIZED, Verdict
from autobatch_batcher.upstreams.clients.http_client import cause_of
from autobatch_batcher.upstreams.clients.upstream_client import PROBE_TIMEOUT_S, CallConnection, UpstreamClient
from autobatch_batcher.upstreams.replica_state import ReplicaState
from autobatch_shared.contract.cards import NO_CARD, Card
from autobatch_shared.contract.errors import (
    InvalidAnswer,
    NotComputed,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamUnavailable,
)
from autobatch_shared.contract.models import NAMELESS
from autobatch_shared.contract.status import NO_ANSWER
from autobatch_shared.watching.upstream_words import INVALID_ANSWER

SAMPLE_TIMEOUT_S = 10.0  # of a text of ours: it waits behind other calls, and the first pass of a server takes longest
LIMITS_EVERY_S = 1.0  # a client that sends only bad lists must not double the upstream's requests
NO_CARD_STATUSES = {404, 405, 501}  # of a server that does not describe itself


class Unlearnt(Exception):
    """An upstream answers, and not what it serves; the text says why."""


class Prober:
    """Asks one upstream.

    Attributes:
        card_asked_s: What its card says was true after this moment, in seconds of the loop's clock; -inf: it was never asked.

    Args:
        state: Takes what the upstream said.
        client: Sends the questions.
        dialects: Those that it may speak; its state has the one that it does.
    """

    def __init__(self, state: ReplicaState, client: UpstreamClient, dialects: Sequence[Dialect] = ()) -> None:
        self._state = state
        self._client = client
        self._dialects = dialects
        self.card_asked_s = self._limits_asked_s = self._vector_asked_s = float("-inf")
        self._asking = asyncio.Lock()
        self._had_card = False

    async def probe(self) -> None:
        """Ask for its health and its card: it may be started anew with other limits, or another model, between two."""
        state = self._state
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                async with self._asking:
                    await self._ask_card()  # which shows what it speaks
                question = state.dialect.ask_health
                status, said = await self._client.fetch(question)
                healthy = state.dialect.is_well(status, said)
                why = "probed" if healthy else f"status {status} at {question.path}"
                reachable = status < 500  # not every server has such a path
            if state.standing.has_to_show:
                await self._learn()  # also of one that is not well: where none is, it is called all the same
        except (Unlearnt, UpstreamProtocolError) as exc:
            state.set_reachable(reachable=True, now_s=_now_s())
            state.exclude(str(exc), _now_s())
        except Exception as exc:  # noqa: BLE001  # whatever keeps us from asking: it is not well
            if _now_s() - state.answered_s > PROBE_TIMEOUT_S:
                why = cause_of(exc)
                if why != NO_ANSWER:
                    state.set_reachable(reachable=False, now_s=_now_s())
                state.set_health(healthy=False, why=why, now_s=_now_s())
            # else it is busy: its health waits behind the calls that it answers
        else:
            state.set_reachable(reachable=reachable, now_s=_now_s())
            state.set_health(healthy=healthy, why=why, now_s=_now_s())
        if state.is_healthy:
            state.standing.was_well(_now_s())
        state.standing.is_tried = True

    async def ask_limits(self) -> None:
        """Ask for its card, after an answer that a lowered limit would explain; at most once in LIMITS_EVERY_S."""
        if _now_s() - self._limits_asked_s >= LIMITS_EVERY_S:
            self._limits_asked_s = _now_s()
        await self.ask_again(self._limits_asked_s)

    async def ask_vector(self) -> None:
        """Ask for a vector, after a refusal that a lost model or another key would explain; at most once in LIMITS_EVERY_S.

        Its health and its card may be as before: some servers list a model that they no longer have, and ask for no key there.
        """
        state = self._state
        async with self._asking:
            if state.standing.served is None or _now_s() - self._vector_asked_s < LIMITS_EVERY_S:
                return
            try:
                await self._ask_dimension(state.dialect)
            except Unlearnt as exc:
                state.exclude(str(exc), _now_s())
            except UpstreamError:
                pass  # it cannot compute now, which calls notice themselves
            self._vector_asked_s = _now_s()

    async def ask_again(self, since_s: float) -> None:
        """Ask for its card, unless that was done after `since_s` on the loop's clock; one that cannot be asked is doubted."""
        async with self._asking:
            if self.card_asked_s >= since_s:
                return
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await self._ask_card()
            except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                self._state.doubt(_now_s(), f"it does not answer {self._card_path}: {cause_of(exc)}")
            except (Unlearnt, UpstreamProtocolError) as exc:
                self._state.exclude(str(exc), _now_s())

    async def _ask_card(self) -> None:
        """Read its card; one without any keeps the configured limits, and one that fails to say keeps its last card.

        Raises:
            Unlearnt: It does not tell us.
            UpstreamError: It cannot now, or which of its models is meant cannot be told.
        """
        asked_s, connection, state = _now_s(), CallConnection(self._client), self._state
        status, card = await self._card_by(state.dialect, connection)
        if card.identity is None and (status < 500 or status in NO_CARD_STATUSES):
            for other in self._others():
                other_status, other_card = await self._card_by(other, connection)
                if other_status == 200 and other_card.identity is not None:
                    status, card = other_status, other_card
                    state.speak(other, _now_s())
                    break
        if status == 200 and card == NO_CARD and state.card.identity is not None:
            raise Unlearnt(f"{INVALID_ANSWER}: {self._card_path} does not say what it serves, as it did")
        if status == 200 or status in NO_CARD_STATUSES:
            self._had_card |= card.identity is not None
            had_one = state.card.identity is not None and state.standing.served is not None
            if status != 200 and had_one and card != state.card:
                state.doubt(_now_s(), f"it answers {status} to {self._card_path}, where it had its card")
            state.take_card(card, _now_s())
        elif status in UNAUTHORIZED:
            raise Unlearnt(_refusal(status, self._card_path))
        elif self.card_asked_s < 0:
            raise UpstreamUnavailable().because(f"status {status} at {self._card_path}")  # it has never said anything
        elif status in OUTAGES:
            state.away_s = _now_s()
        self.card_asked_s = max(asked_s, connection.made_s)

    async def _card_by(self, dialect: Dialect, connection: CallConnection) -> tuple[int, Card]:
        """Return the status of its answer to the first question about its card in a dialect, and the card; NO_CARD with an error.

        Raises:
            UpstreamUnavailable: It says only half of it.
            UpstreamProtocolError: Which of its models is meant cannot be told.
        """
        first, *others = dialect.ask_card
        kept = self._state.standing.kept_name
        status, said = await self._client.fetch(first, connection)
        if status != 200:
            return status, dialect.card(b"", kept=kept) if status in NO_CARD_STATUSES else NO_CARD
        more = [await self._client.fetch(question) for question in others]
        for question, (other, _) in zip(others, more, strict=True):
            if other not in {200, *NO_CARD_STATUSES}:  # half a card would be another one
                raise UpstreamUnavailable().because(f"status {other} at {question.path}")
        return status, dialect.card(said, *(text if other == 200 else b"" for other, text in more), kept=kept)

    def _others(self) -> list[Dialect]:
        """The dialects that it may speak besides the one that it seems to."""
        return [each for each in self._dialects if each.ask_card != self._state.dialect.ask_card]

    @property
    def _card_path(self) -> str:
        return self._state.dialect.ask_card[0].path

    async def _learn(self) -> None:
        """Learn what it serves: its card, and the length of its rows, which it has to show.

        Raises:
            UpstreamError: It cannot compute now.
            Unlearnt: It has neither a card nor a vector, or refuses us or its model.
        """
        state = self._state
        card = state.card
        dimension = await self._ask_dimension(state.dialect) if card.kind == "embedding" else None
        if card.identity is None and dimension is None:
            dimension = await self._learn_dialect()
        if card.identity is None and self._had_card:
            # It was on its way back: the first of its answers with a vector is not all that it says.
            async with self._asking:
                await self._ask_card()
        if card == state.card:  # else it changed meanwhile, and the next probe learns it
            state.learnt(dimension, _now_s())

    async def _learn_dialect(self) -> int:
        """Find the dialect in which one without a card has a vector, and return the number of components of that.

        Raises:
            UpstreamError: It cannot compute now.
            Unlearnt: There is none.
        """
        paths = [self._card_path]
        for other in self._others():
            try:
                dimension = await self._ask_dimension(other)
            except UpstreamProtocolError:
                dimension = None
            if dimension is not None:
                self._state.speak(other, _now_s())
                return dimension
            paths.append(other.ask_card[0].path)
        raise Unlearnt(f"it has neither {' nor '.join(paths)} nor a vector")

    async def _ask_dimension(self, dialect: Dialect) -> int | None:
        """Return the number of components of its vectors; None where it has none.

        Raises:
            InvalidAnswer: It says that all is well, and has no vector.
            UpstreamError: It cannot compute now.
            Unlearnt: It refuses us, or the model of its card.
        """
        try:
            post = dialect.compose("/embed", [dialect.sample], None)
        except NotComputed as exc:
            raise Unlearnt(str(exc)) from exc
        answer = dialect.understood(await self._client.send(post, SAMPLE_TIMEOUT_S))
        if answer.status == 200:
            if answer.flaw:
                raise InvalidAnswer(f"{INVALID_ANSWER}: {answer.flaw}")
            try:
                return components(dialect.cut(answer, "/embed", 1, ()))
            except UpstreamProtocolError as exc:
                raise InvalidAnswer(f"{INVALID_ANSWER}: {exc}") from exc
        if answer.status in UNAUTHORIZED:
            raise Unlearnt(_refusal(answer.status, post.path))
        if dialect.judge(answer, 1, is_verbatim=False, may_retry=False) is Verdict.TELL:
            raise Unlearnt(f"it answers {answer.status} to {post.path}: its account there has no money or quota left")
        if answer.status in OURS and self._state.card.identity is not None:
            raise Unlearnt(
                f"it answers {answer.status} to {post.path} for the model {self._state.card.name or NAMELESS}"
            )
        if answer.status == OVERLOADED or dialect.condition(answer) is Condition.FAILING:
            raise UpstreamUnavailable
        return None


def _refusal(status: int, path: str) -> str:
    return f"it answers {status} to {path}: INFERENCE_API_KEY"


def _now_s() -> float:
    return asyncio.get_running_loop().time()
