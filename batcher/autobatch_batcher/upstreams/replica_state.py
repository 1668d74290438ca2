"""What this batcher knows of one upstream: its health, what it serves, and what it is doing for us. Pure; the clock is passed in.

More than 250 lines, because its attributes are described here, and whatever changes one is next to them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from autobatch_batcher.dialects.base import Answer, Dialect
from autobatch_batcher.tuning.duty import ON_DUTY, Duty
from autobatch_batcher.tuning.recent_calls import NO_CALL_SEEN, CallTime, RecentFailures
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.breaker import Breaker
from autobatch_batcher.upstreams.congestion import Congestion
from autobatch_batcher.upstreams.input_faults import InputFaults
from autobatch_batcher.upstreams.limits import LearntLimits, Limits, lowered
from autobatch_batcher.upstreams.standing import NO_RECORD, NOT_LEARNT, Standing
from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX, Card
from autobatch_shared.contract.models import ServedModel, model_of
from autobatch_shared.contract.status import NO_ANSWER, UpstreamStatus
from autobatch_shared.watching.upstream_words import INVALID_ANSWER, kind_of_cause, words_of

log = logging.getLogger(__name__)

ALIKE_SHARE = 0.95  # of a limit of tokens: how many of them texts have for their length differs from call to call

SERVES_ANOTHER, SERVES_UNKNOWN = "serves another model", "does not say what it serves"
LATE = "late answers"  # so many in a row that it counts as hung
TOLD = {
    INVALID_ANSWER: "The upstream's answers are invalid",
    **dict.fromkeys((NO_ANSWER, LATE), "The upstream did not answer in time"),
}

WentDown = Callable[[], None]


def _nothing() -> None: ...


@dataclass(slots=True)
class ReplicaLoad:
    """What one upstream is doing for this batcher.

    Attributes:
        calls: Number of calls in flight.
        inputs: Number of inputs in these calls.
        work: Sum of the inputs and units of these calls, by which upstreams are compared.
        expected_s: Seconds that the upstream should need for these calls.
        ends_s: When the last of these calls should end, in seconds of the loop's clock, if the upstream works on one at a time;
            -inf if it works on several, or that is not known.
        beside: Number of calls in flight for parts of those that failed, or that are late, which are not in the other numbers.
        made_room: Is called when one of the others gave up its place before it ended.
    """

    calls: int = 0
    inputs: int = 0
    work: int = 0
    expected_s: float = 0.0
    ends_s: float = -inf
    beside: int = 0
    made_room: Callable[[], None] = _nothing


class ReplicaState:
    """The state of one upstream. Every `now_s` is in seconds of the loop's clock.

    Attributes:
        dialect: The API that it speaks, as far as is known.
        card: What it said of itself last.
        dimension: Number of components of its vectors; None while that is unknown, or where it has none.
        answered_s: When it last gave a good answer; -inf: never.
        served_s: When the last call for clients that it answered began; -inf: there was none.
        away_s: When it was last seen to be away, by itself or by what stands before it: since then another server may answer.
        down_since_s: Since when it cannot be reached; None: it can be, as far as is known.
        duty: Whether this batcher calls it, or stands by.
        failures: How many of its calls failed, and why.
        last_duty: The same when it was called last.
        lost_s: When a call of another batcher failed that calls it no more; -inf: none did.
        permits: The most inputs that this batcher has in flight there, as it has published.
        went_down: Is called whenever it is found that it cannot be reached any more, or has to say again what it serves.

    Args:
        name: Its URL, which may be shown.
        dialect: The API that it speaks, or most likely does.
        configured: The limits that our settings give, which its card may only lower.
        tuner: Learns from its calls.
        standing: Whether it serves the namespace's model.
    """

    def __init__(self, name: str, dialect: Dialect, configured: Limits, tuner: Tuner, standing: Standing) -> None:
        self.name = name
        self.limits = configured
        self.card = NO_CARD
        self.dimension: int | None = None
        self.is_healthy = False
        self.answered_s = self.served_s = self.away_s = self.lost_s = -inf
        self.down_since_s: float | None = None
        self.went_down: WentDown = lambda: None
        self.tuner = tuner
        tuner.memory_ended = self._note_memory_ended
        self.breaker = Breaker()
        self.failures = RecentFailures()
        self.congestion = Congestion()
        self._input_faults: InputFaults | None = None  # none has failed by itself
        self.standing = standing
        self.load = ReplicaLoad()
        self.duty = self.last_duty = ON_DUTY
        self.permits = UNKNOWN_MAX
        self._configured = configured
        self.dialect = dialect
        self._fault = ""
        self._hint = ""  # the last that was logged
        self._was_usable: bool | None = None  # None: never probed
        self._usable_s = 0.0  # when that changed last
        self._excluded_s: float | None = None
        self._learnt = LearntLimits()

    @property
    def call_jobs_max(self) -> int | None:
        """The most jobs of a call, where some fail by themselves; None: any number."""
        return self._input_faults.jobs_max if self._input_faults is not None else None

    def note_answered(self, jobs: int) -> None:
        """So many jobs of a call were answered well."""
        if self._input_faults is not None:
            self._input_faults.answered(jobs)

    def note_failed_alone(self) -> None:
        """A job, or several of the same inputs, failed by itself."""
        self._input_faults = self._input_faults or InputFaults()
        self._input_faults.failed()

    @property
    def failing_since_s(self) -> float | None:
        """Since when it has not been reached, has only failed, or is excluded; None: there is no such outage."""
        if self.down_since_s is not None:
            return self.down_since_s
        return self.breaker.failing_since_s if self.is_included else self._excluded_s

    @property
    def is_included(self) -> bool:
        """Whether it serves the namespace's model."""
        return not self.standing.reason

    @property
    def is_ours(self) -> bool:
        """Whether it is this batcher's to call, and the others have left it a permit."""
        return self.duty.is_on and self.duty.taken < self.limits.in_flight_inputs_max

    @property
    def is_usable(self) -> bool:
        """Whether it is well, and serves the namespace's model."""
        return self.is_healthy and self.is_included

    @property
    def is_well(self) -> bool:
        """Whether it is usable, and its calls do not fail one after the other."""
        return self.is_usable and self.breaker.is_closed

    @property
    def is_in_doubt(self) -> bool:
        """Whether it seems well here, and has answered nothing since another batcher found that it is not."""
        return self.is_well and self.lost_s > self.answered_s

    @property
    def reason(self) -> str:
        """Why it is excluded, which where it could not be asked is why; empty if it is not."""
        reason = self.standing.reason
        return f"{NOT_LEARNT}: {words_of(self._fault)}" if self._fault and reason in (NO_RECORD, NOT_LEARNT) else reason

    @property
    def obstacle(self) -> str:
        """Why it is not usable; empty if it is."""
        return "" if self.is_usable else self.reason or self._fault or NOT_LEARNT

    @property
    def trouble(self) -> str:
        """What is wrong with it, one of a few kinds; empty: nothing is, as far as is known."""
        if not self.is_included:
            if self.standing.served is not None:
                return SERVES_ANOTHER
            # The status of its refusal, or a page that is no answer, if that is why it does not say.
            kind = kind_of_cause(self.standing.silence)
            return kind if kind.startswith("HTTP ") or kind == INVALID_ANSWER else SERVES_UNKNOWN
        if not self.is_healthy:
            return kind_of_cause(self._fault) if self._fault else SERVES_UNKNOWN
        return "" if self.breaker.is_closed else self.failures.last or LATE

    @property
    def told_to_clients(self) -> str:
        """What clients are told of it where it is not called: by what it answers, or that it does not; empty: it cannot be reached."""
        trouble = self.trouble
        status = trouble.removeprefix("HTTP ")
        return self.standing.told or (f"The upstream answered {status}" if status.isdigit() else TOLD.get(trouble, ""))

    def call_time(self, now_s: float, inputs: int, *, is_scarce: bool) -> CallTime:
        """Return what a call takes, by which jobs are dropped.

        Where its place is scarce, another job takes that of one that is dropped: then it is what calls of so many inputs took at
        most. Otherwise it is what they took at least, and unknown of one that is idle, as only a call can show what it takes now.
        """
        recent = self.tuner.recent
        if is_scarce:
            return recent.most(now_s, inputs)
        return recent.least(now_s) if self.load.calls else NO_CALL_SEEN

    def status(self, batch_inputs_max: int, now_s: float) -> UpstreamStatus:
        """Return what to publish of it, where one call of this batcher may have so many inputs."""
        if self.answered_s > 0:
            self.standing.was_well(self.answered_s)
        # Of an upstream that has to say again what it serves the last card counts for nothing.
        is_known = self.is_included or self.standing.served is not None
        return UpstreamStatus(
            url=self.name,
            is_healthy=self.is_usable,
            batch_inputs_max=batch_inputs_max,
            in_flight=self.load.inputs,
            request_bytes_max=self.limits.body_bytes_max - self.dialect.growth_bytes_max,
            batch_tokens_max=min(self.limits.batch_tokens_max, self.limits.total_tokens_max),
            card=self.card if is_known else NO_CARD,
            counts_for=self.standing.counts_for(now_s),
            reason=self.reason,
            fault=self._fault,
            may_be_called=self.is_well,
            is_on_duty=self.duty.is_on,
            permits=self.permits,
            dialect=self.dialect.kind if is_known else "",
            learnt=self.tuner.learnt,
            failed=self.failures.recent(now_s, are_all=not self.breaker.is_closed),
            unchanged_ms=0 if self._was_usable is None else int((now_s - self._usable_s) * 1000),
        )

    def take_duty(self, duty: Duty) -> bool:
        """Do what falls to this batcher from now on; return whether that is something else than before."""
        if self.tuner.is_fixed:
            return False
        if duty.learnt is not None:
            self.tuner.adopt(duty.learnt, is_remembered=duty.is_remembered)
        if duty.is_remembered:
            log.info("upstream_remembered", extra={"upstream": self.name, "calls": self.tuner.setting.calls})
        before, was_ours, self.duty = self.duty, self.is_ours, duty
        if duty.is_on:
            self.last_duty = duty
        if duty.is_on != before.is_on:
            log.info("upstream_duty", extra={"upstream": self.name, "is_on": duty.is_on})
        return (duty.is_on, duty.sharers, self.is_ours) != (before.is_on, before.sharers, was_ours)

    def _note_memory_ended(self, why: str) -> None:
        if why:
            log.warning("upstream_memory_dropped", extra={"upstream": self.name, "why": why})
        else:
            log.info("upstream_memory_confirmed", extra={"upstream": self.name})

    def wait_for_model(self, now_s: float) -> None:
        """Exclude it until the namespace's model is known."""
        self._change_standing(self.standing.wait_for_record, now_s)

    def follow(self, model: ServedModel, now_s: float) -> None:
        """Take note of the namespace's model."""
        self._change_standing(lambda: self.standing.follow(model), now_s)

    def doubt(self, now_s: float, why: str = NOT_LEARNT) -> None:
        """Use it no more until it has said again what it serves; `why` is the reason that is shown."""
        self._change_standing(lambda: self.standing.doubt(why), now_s)
        self.went_down()

    def exclude(self, why: str, now_s: float) -> None:
        """Use it no more until it says what it serves, which it does not for this reason."""
        self._change_standing(lambda: self.standing.doubt(why), now_s)
        self.set_health(healthy=False, why=why, now_s=now_s)

    def speak(self, dialect: Dialect, now_s: float) -> None:
        """Take note of which API it speaks; where that is another one, it has to show what it serves."""
        log.info("upstream_dialect", extra={"upstream": self.name, "dialect": dialect.kind})
        self.dialect = dialect
        if self.standing.served is not None:
            self.doubt(now_s)

    def bound(self, configured: Limits, now_s: float) -> None:
        """Keep to other limits of our settings from now on."""
        self._configured = configured
        self.take_card(self.card, now_s)

    def take_card(self, card: Card, now_s: float) -> None:
        """Take note of what it said of itself; where that is another model, it has to show what it serves."""
        if self.standing.served is not None and (card.kind, card.identity) != (self.card.kind, self.card.identity):
            self.doubt(now_s)
            self._learnt.forget()
        self.card, self.dialect = card, self.dialect.knowing(card)
        limits = self._learnt.lowered(lowered(self._configured, card), now_s)
        if limits != self.limits:
            log.info(
                "upstream_limits",
                extra={
                    "upstream": self.name,
                    "inputs_max": limits.inputs_max,
                    "batch_tokens_max": limits.batch_tokens_max,
                    "total_tokens_max": limits.total_tokens_max,
                    "pass_inputs_max": limits.pass_inputs_max,
                },
            )
        self.limits = limits
        self.tuner.note_passes(cuts_calls=limits.pass_inputs_max < limits.inputs_max)

    def heed(self, refusal: Answer, inputs: int, tokens: int, now_s: float) -> None:
        """Take note of the limit that the error to a call names, if it names one.

        Args:
            refusal: The error.
            inputs: Number of inputs that the call had.
            tokens: Their tokens as we know them, by characters or by a tokenizer of ours; 0: they are unknown.
            now_s: The time now.
        """
        said, total = self.dialect.inputs_max_said(refusal, inputs), self.dialect.tokens_said(refusal)
        if said is not None:
            self._learn_inputs_max(said, now_s)
        elif total is not None and total.limit:
            ours = tokens * total.limit // total.had if total.had else total.limit
            self._learn_tokens_max(int(ours * ALIKE_SHARE), now_s)

    def learn_from_parts(self, refusal: Answer, inputs: int, tokens: int, now_s: float) -> None:
        """Take note that calls of so many inputs and tokens were answered, parts of one that was refused with this error."""
        total = self.dialect.tokens_said(refusal)
        if total is None or not tokens:
            self._learn_inputs_max(inputs, now_s)
        elif not total.limit:  # or it was heeded
            self._learn_tokens_max(tokens, now_s)

    def _learn_inputs_max(self, inputs_max: int, now_s: float) -> None:
        if self.dialect.says_limits or inputs_max >= self.limits.inputs_max:
            return
        log.info("upstream_limit_learnt", extra={"upstream": self.name, "inputs_max": inputs_max})
        self._learnt.inputs(inputs_max, now_s)
        self.limits = self._learnt.lowered(self.limits, now_s)

    def _learn_tokens_max(self, tokens_max: int, now_s: float) -> None:
        if self.dialect.says_limits or not 0 < tokens_max < self.limits.total_tokens_max:
            return
        log.info("upstream_limit_learnt", extra={"upstream": self.name, "total_tokens_max": tokens_max})
        self._learnt.tokens(tokens_max, now_s)
        self.limits = self._learnt.lowered(self.limits, now_s)

    def learnt(self, dimension: int | None, now_s: float) -> None:
        """Take note of how long the rows of its card's model are."""
        self.dimension = dimension
        if self.dialect.hint != self._hint:
            self._hint = self.dialect.hint
            log.warning("upstream_hint", extra={"upstream": self.name, "hint": self._hint})
        self._change_standing(lambda: self.standing.learnt(model_of(self.card, dimension)), now_s)

    def set_reachable(self, *, reachable: bool, now_s: float) -> None:
        """Take note of whether it could be reached."""
        if reachable:
            if self.down_since_s is not None:
                self.down_since_s = None
                self.breaker.reached()
        elif self.down_since_s is None:
            self.down_since_s = now_s
            self.went_down()

    def set_health(self, *, healthy: bool, why: str, now_s: float) -> None:
        """Take note of whether it is well, and why we think so."""
        if healthy != self.is_healthy or not (healthy or self._fault):  # also of one that was never well
            log.log(
                logging.INFO if healthy else logging.WARNING,
                "upstream_health_changed",
                extra={"upstream": self.name, "is_healthy": healthy, "why": why},
            )
        self.is_healthy = healthy
        self._fault = "" if healthy else why
        self._note_usable(now_s)

    def _change_standing(self, change: Callable[[], None], now_s: float) -> None:
        before = self.standing.reason
        change()
        now = self.standing.reason
        if now == before:
            return
        self._excluded_s = now_s
        if now and now not in (NO_RECORD, NOT_LEARNT):
            log.warning("upstream_excluded", extra={"upstream": self.name, "reason": now})
        elif not now and before not in (NO_RECORD, NOT_LEARNT):  # as at every start
            log.info("upstream_included", extra={"upstream": self.name})
        self._note_usable(now_s)

    def _note_usable(self, now_s: float) -> None:
        if self.is_usable != self._was_usable:
            self._was_usable = self.is_usable
            self._usable_s = now_s
