"""What the calls to one upstream teach, and how to call it next. Pure; times are passed in.

What a call costs is learnt by `cost.py`, how many calls to make at once and how large by `climbing.py`; `surprise.py` notices that an
upstream has become another, also before this batcher began.

Service is counted from the completion before, when that came after the call's start: so a call that waited behind
another at the upstream is not charged for that wait, and calls that run at the same time share the time they take.

More than 250 lines, because what a call teaches and how the next one is made of that is one account.
"""

from collections.abc import Callable
from math import inf, log

import msgspec

from autobatch_batcher.tuning.climbing import GAIN_MIN, Climber, Setting
from autobatch_batcher.tuning.cost import (
    CALLS_MIN,
    EVIDENCE,
    EVIDENCE_KEPT,
    EVIDENCE_MAX,
    FIT_EVERY_CALLS,
    CallCost,
    CostLaw,
    CostModel,
)
from autobatch_batcher.tuning.recent_calls import RecentCalls
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.tuning.surprise import Surprise, SurprisingCall, Trust
from autobatch_shared.contract.status import LearntCalls
from autobatch_shared.watching.activity import TuningNow

CALLS_FIRST, CALLS_MAX = 2, 32  # where none are configured: one call is computed while the other one is on its way
GAP_MAX_S = 0.02  # a longer one is a pause, though there was work before and after it
DOUBT = 1.5  # evidence as small as that says nothing
FULLER_FLAT_MIN_S = 0.004  # several times what the upstream is idle for because the next call is not there yet
# Several times what clients that were answered need to ask again: 1.1 ms with one at a time.
ASK_AGAIN_FLAT_MIN_S = 0.006
ASK_AGAIN_SHARE, ASK_AGAIN_MAX_S = 0.25, 0.005  # of that cost, for which an idle upstream waits for them
USUAL_WEIGHT = 0.1  # of a call
LOOK_EVERY_CALLS = 16  # one in so many may be padded by half, while it is not known whether padding costs anything
# Of a job's time: a trial that halves what gets done ends while there is time for two slow calls.
LONG_WAIT_SHARE = 0.25
PRESSING_WAIT_SHARE = 0.1  # of a job's time: the ascent takes some rounds of calls, and meanwhile the wait grows
# Of what their call takes, where calls run side by side: more of them at once do more, and the backlog of a trial is worked off slowly.
PRESSING_WAIT_CALLS, EASED_WAIT_CALLS = 3.0, 0.5
# Above the knee, where calls run side by side: larger ones gain less than a trial has to, and take longer.
FULL_FLATS = 1 / (GAIN_MIN - 1)
SIZE_WORTH_FLATS = 4.0  # above the knee: of what such calls cost a fifth does not depend on their size

MemoryEnded = Callable[[str], None]


class Sample(msgspec.Struct, frozen=True):
    """One good call.

    Attributes:
        setting: The setting that was in use when it was made.
        padded: Its inputs times the length of the longest; 0 where lengths are unknown.
        useful: Sum of its inputs' lengths.
        started_s: When it began, in seconds of any monotonic clock.
        ended_s: When its answer was in, in seconds of the same clock.
        was_busy: Whether there was other work for the upstream when it was made.
        waited_s: Seconds that its oldest job had waited then.
        calls: In flight with it when it was made, itself included.
        is_mixed: Whether its inputs differ in length beyond chance.
        inputs: Their number.
    """

    setting: Setting
    padded: int
    useful: int
    started_s: float
    ended_s: float
    was_busy: bool
    waited_s: float = 0.0
    calls: int = 1
    is_mixed: bool = True
    inputs: int = 1

    def units(self, law: CostLaw) -> int:
        """Return what it carried, by this law."""
        return law.units(self.padded, self.useful, self.inputs)


class Tuner:
    """Learns from the calls to one upstream how to call it.

    Attributes:
        is_fixed: Whether to call as configured, whatever is learnt.
        setting: How many calls to make at once, and how large.
        shape: How the lengths of the next batch are bounded.
        recent: What the last calls took.
        steps_faster: How often the upstream was found to be faster by a step than was believed.
        usual_length: Of the longest input of its last calls; 0 while none had a known one.
        memory_ended: Is called once what was remembered is believed no more, with the reason; empty: calls have borne it out.

    Args:
        calls_max: The most calls in flight, with which it begins; None: `CALLS_FIRST`, and up to `CALLS_MAX` if they do more.
        is_fixed: Whether to call as configured, in the order of arrival, whatever is learnt.
    """

    def __init__(self, calls_max: int | None, *, is_fixed: bool = False) -> None:
        self._model = self._one_by_one = CostModel()
        self._side_by_side = CostModel()
        self._surprise = Surprise()
        self._trust: Trust | None = None  # in what was remembered, until it is confirmed or refuted
        self._was_misled = False  # by what was remembered
        self._waits_evidence = 0.0  # that calls wait for each other; negative: that they run side by side
        self._calls_max = calls_max
        self._cuts_calls = False
        self._climber = self._begin_climb()
        self.is_fixed = is_fixed
        self._last_ended_s = float("-inf")
        self._was_busy = False
        self._noted = self._calls_seen = self.steps_faster = 0
        self.usual_length = 0.0
        self.memory_ended: MemoryEnded = lambda _why: None
        self.recent = RecentCalls()
        self.setting = Setting(calls_max or CALLS_FIRST, None)
        self.shape = BatchShape(None, None)
        self._choose(0)

    @property
    def cost(self) -> CallCost:
        """What a call costs, by the model that explains more: calls wait for each other, or they run side by side."""
        cost = self._model.cost
        return self._surprise.charged(cost, is_learnt=self.is_learnt) if self._surprise.calls else cost

    @property
    def is_learnt(self) -> bool:
        """Whether what a call costs was learnt here or elsewhere, and is no guess."""
        return self._calls_seen >= CALLS_MIN

    @property
    def is_faster(self) -> bool:
        """Whether its last calls took far less than was learnt."""
        return self._surprise.is_faster

    @property
    def is_one_by_one(self) -> bool:
        """Whether calls wait for each other at the upstream, as far as is known: calls that had nothing beside them say nothing."""
        return self._waits_evidence >= -DOUBT

    @property
    def is_known_one_by_one(self) -> bool:
        """Whether calls wait for each other there beyond doubt."""
        return self._waits_evidence > EVIDENCE

    @property
    def is_known_side_by_side(self) -> bool:
        """Whether calls run beside each other there beyond doubt, and may be made as is learnt."""
        return self._waits_evidence < -EVIDENCE and not self.is_fixed

    def bound(self, calls_max: int | None) -> None:
        """Make at most so many calls at once from now on, as in `Args`; what calls cost stays known."""
        if calls_max != self._calls_max:
            self._calls_max = calls_max
            self._climber = self._begin_climb()
            self._end_trust("other settings")
            self.setting = Setting(calls_max or CALLS_FIRST, None)
            self._choose(0)

    def note_passes(self, *, cuts_calls: bool) -> None:
        """Take note of whether the upstream computes a large call in several passes: then no other size than its own is worth a trial."""
        if cuts_calls != self._cuts_calls:
            self._cuts_calls = cuts_calls
            self._climber = self._begin_climb()
            self._choose(0)

    def note(self, sample: Sample) -> None:
        """Learn from a call, in the order of completion."""
        service_s = sample.ended_s - max(sample.started_s, self._last_ended_s)
        gap_s = max(0.0, sample.started_s - self._last_ended_s)
        # Work was waiting: that none was done in between is the price of so few calls in flight.
        idle_s = gap_s if sample.was_busy and self._was_busy and gap_s <= GAP_MAX_S else 0.0
        self._last_ended_s, self._was_busy = sample.ended_s, sample.was_busy
        if sample.padded == 0:
            return  # of unknown length
        self._noted += 1
        took_s = sample.ended_s - sample.started_s
        length = sample.padded / sample.inputs
        self.usual_length += (length - self.usual_length) * (USUAL_WEIGHT if self.usual_length else 1.0)
        if self._trust is not None:
            self._judge(self._trust, sample, service_s)
        self._learn_cost(sample, service_s, took_s)
        self._calls_seen += 1
        cost = self.cost
        units = sample.units(cost.law)
        self.recent.note(units, took_s, sample.ended_s, cost.flat_units)
        if sample.was_busy:
            busy_s, answer_s = service_s + idle_s, sample.waited_s + took_s
            slowness = took_s / cost.seconds(units) if self.is_known_side_by_side else None
            self._climber.note(
                sample.setting, units, sample.useful, busy_s, answer_s, calls=sample.calls, slowness=slowness
            )
        elif self._climber.is_trying:
            self._climber.note_idle(sample.setting)
        self._choose(sample.useful)

    @property
    def learnt(self) -> LearntCalls | None:
        """What another batcher would want to know; None while there is nothing.

        After a wrong memory it is what this one begins anew with: with nothing it would be given the same memory again.
        """
        if self.is_fixed or not (self.is_learnt or self._was_misled):
            return None
        cost, best = self._model.cost, self._climber.best
        share = self._waits_evidence / EVIDENCE_MAX
        return LearntCalls(
            self._calls_seen,
            cost.law.value,
            cost.flat_s,
            cost.per_unit_s,
            cost.knee_units,
            round((1 + share) / 2, 3),
            round((1 - share) / 2, 3),
            best.calls,
            best.units_max,
        )

    @property
    def now(self) -> TuningNow | None:
        """How the upstream is called and what is tried, for people; None: as configured."""
        if self.is_fixed:
            return None
        best, candidate = self._climber.best, self._climber.candidate
        if candidate is None:
            return TuningNow(best.calls, best.units_max)
        return TuningNow(best.calls, best.units_max, candidate.calls, candidate.units_max)

    def adopt(self, learnt: LearntCalls, *, is_remembered: bool = False) -> None:
        """Take over what another batcher has learnt of this upstream, instead of what was learnt here.

        Args:
            learnt: What it has learnt.
            is_remembered: Whether that batcher is gone, so that the upstream may have become another since then.
        """
        if self.is_fixed:
            return
        cost = CallCost(learnt.flat_s, learnt.per_unit_s, learnt.knee_units, CostLaw(learnt.law))
        self._calls_seen = learnt.calls_seen
        self._surprise.end()
        self._one_by_one.adopt(cost)
        self._side_by_side.adopt(cost)
        evidence_max = (
            EVIDENCE if is_remembered else EVIDENCE_MAX
        )  # the first fit is to find it again, before it is beyond doubt
        found = EVIDENCE_MAX * (learnt.one_by_one - learnt.side_by_side)
        self._waits_evidence = min(max(found, -evidence_max), evidence_max)
        self._model = self._one_by_one if self.is_one_by_one else self._side_by_side
        # Of an upstream that may be another, one call at a time would show nothing of calls beside each other.
        calls = max(learnt.calls, CALLS_FIRST) if is_remembered else learnt.calls
        calls = min(calls, self._calls_max or CALLS_MAX)
        setting = Setting(max(1, calls), None if self._cuts_calls else learnt.units_max)
        self._climber.adopt(setting, is_remembered=is_remembered)
        self._trust = Trust(cost, setting.calls, is_one_by_one=self.is_one_by_one) if is_remembered else None
        self._choose(0)

    def note_vain(self, padded: int, useful: int, inputs: int, now_s: float, seconds: float) -> None:
        """Learn from a call that its deadline ended now, after so many seconds; its sizes are as in `Sample`."""
        if padded:
            cost = self.cost
            self.recent.note_made(cost.law.units(padded, useful, inputs), seconds, now_s, cost.flat_units)

    def note_wait(self, share: float, calls: float = 0.0) -> None:
        """Take note of how long a job of the call that is made now has waited, the most of all its jobs.

        Args:
            share: Of its time.
            calls: Times what its call should take.

        Where calls wait for each other more of them do no more, and fewer of them cost next to nothing, however long jobs wait.
        """
        climber = self._climber
        may_matter = share >= PRESSING_WAIT_SHARE / 2 and not self.is_known_one_by_one
        is_pressed = may_matter and (climber.is_pressed or share >= PRESSING_WAIT_SHARE)
        if self.is_known_side_by_side:
            is_pressed |= calls >= (EASED_WAIT_CALLS if climber.is_pressed else PRESSING_WAIT_CALLS)
        if is_pressed != climber.is_pressed:
            climber.note_pressure(is_pressed=is_pressed)
        is_long = may_matter and share >= LONG_WAIT_SHARE
        if is_long or climber.is_late:
            climber.note_wait(is_long=is_long)
        if self.setting != self._climber.setting:
            self._choose(0)

    def late_after_s(self, padded: int, useful: int, inputs: int) -> float | None:
        """Return after how many seconds a call is late, given its sizes as in `Sample`; None while that is unknown."""
        return self.recent.late_after_s(self.cost.law.units(padded, useful, inputs))

    def ends_s(self, now_s: float, ends_s: float, padded: int, useful: int, inputs: int = 1) -> float:
        """Return when a call that is made now should end, if the one before it ends at `ends_s`.

        It is -inf unless the upstream is known to work on one call at a time, and what a call costs whatever it carries is
        worth a wait for a fuller one.
        """
        cost = self._one_by_one.cost
        if self.is_fixed or not self.is_known_one_by_one or cost.flat_s < FULLER_FLAT_MIN_S:
            return -inf
        return max(now_s, ends_s) + cost.seconds(cost.law.units(padded, useful, inputs))

    def ask_again_s(self, now_s: float) -> float:
        """Return for how long from now an idle upstream should wait for the next requests of those whom it has just answered.

        Where it works on one call at a time that costs much whatever it carries, two calls would take turns in which one would do; where
        calls run side by side, the first that ask again would take all places, in calls of one each.
        """
        flat_s = self._model.cost.flat_s
        is_open = -EVIDENCE <= self._waits_evidence <= EVIDENCE
        if self.is_fixed or is_open or flat_s < ASK_AGAIN_FLAT_MIN_S:
            return 0.0
        return max(0.0, self._last_ended_s + min(ASK_AGAIN_SHARE * flat_s, ASK_AGAIN_MAX_S) - now_s)

    def _judge(self, trust: Trust, sample: Sample, service_s: float) -> None:
        """Go on by what was remembered, or begin anew where the upstream is another by now."""
        if sample.setting.calls == trust.calls:
            units = sample.units(trust.cost.law)
            trust.note(units, sample.started_s, sample.ended_s, service_s, is_full=sample.calls >= trust.calls)
        if why := self._against(trust):
            self._begin_anew(why)
        elif trust.is_confirmed:
            self._end_trust("")

    def _against(self, trust: Trust) -> str:
        """Why what was remembered is not so now; empty: nothing speaks against it."""
        if trust.is_refuted:
            return "calls are slower" if trust.is_slow else "calls are faster"
        if trust.is_one_by_one and self.is_known_side_by_side:
            return "calls run side by side"
        if not trust.is_one_by_one and self.is_known_one_by_one:
            return "calls wait for each other"
        return "half as many calls do more" if 2 * self._climber.best.calls <= trust.calls else ""

    def _begin_anew(self, why: str) -> None:
        """Go on as if nothing had been remembered, for this reason; what the last calls cost is fitted with the next one."""
        self._was_misled = True
        self._surprise.end()
        self._one_by_one.disbelieve()
        self._side_by_side.disbelieve()
        self._waits_evidence, self._model, self._calls_seen = 0.0, self._one_by_one, 0
        self._climber, self.recent = self._begin_climb(), RecentCalls()
        self._end_trust(why)

    def _end_trust(self, why: str) -> None:
        if self._trust is not None:
            self._trust = None
            self.memory_ended(why)

    def _learn_cost(self, sample: Sample, service_s: float, took_s: float) -> None:
        before = self._model.cost
        may_fit = self._may_fit(sample, service_s)
        for model, seconds in ((self._side_by_side, took_s), (self._one_by_one, service_s)):
            is_fitted = model.note(
                sample.padded, sample.useful, seconds, inputs=sample.inputs, is_mixed=sample.is_mixed, may_fit=may_fit
            )
        if is_fitted:
            found = FIT_EVERY_CALLS / 2 * log(self._side_by_side.missed / self._one_by_one.missed)
            found = min(max(found, -EVIDENCE), EVIDENCE)  # no few calls decide
            self._waits_evidence = min(max(self._waits_evidence * EVIDENCE_KEPT + found, -EVIDENCE_MAX), EVIDENCE_MAX)
            self._model = self._one_by_one if self.is_one_by_one else self._side_by_side
        if self._model.cost is not before:
            self._surprise.end()
        cost = self._model.cost
        sizes = sample.padded, sample.useful, sample.inputs
        if self._trust is not None and cost is not before and self._trust.differs(cost, *sizes):
            self._begin_anew("calls cost something else")
        if cost.law is not before.law:  # what was counted are not its units; how many calls pay does not depend on them
            self._climber, self.recent = self._begin_climb(self._climber.best.calls), RecentCalls()
            if self._trust is not None:
                self._climber.adopt(self._climber.best, is_remembered=True)
        if cost is not before:
            worth = round(cost.knee_units + SIZE_WORTH_FLATS * cost.flat_units)
            self._climber.expect(worth, 0 if cost.law is CostLaw.PADDED else worth)

    def _may_fit(self, sample: Sample, service_s: float) -> bool:
        """Whether a fit may be made now: not while calls surprise; where these are a step those before it are forgotten."""
        taken, served, took_s = self._side_by_side.cost, self._one_by_one.cost, sample.ended_s - sample.started_s
        units = sample.units(taken.law)
        if taken.is_near(units, took_s):
            if self._surprise.calls:
                self._surprise.end()
            return True
        served_units = sample.units(served.law)
        self._surprise.note(
            SurprisingCall(
                sample.units(self._model.cost.law),
                sample.started_s,
                sample.ended_s,
                service_s,
                taken.seconds(units),
                served.seconds(served_units),
            )
        )
        if self._surprise.is_step:
            self._one_by_one.forget()
            self._side_by_side.forget()
            self._climber.note_step()
            self.steps_faster += self._surprise.is_faster
        return not (self.is_learnt and self._surprise.is_open)

    def _begin_climb(self, calls_first: int = CALLS_FIRST) -> Climber:
        calls_max, calls_first = self._calls_max or CALLS_MAX, self._calls_max or calls_first
        return Climber(calls_max, calls_first, tries_sizes=not self._cuts_calls)

    def _choose(self, useful: int) -> None:
        """Take over what was found, unless the configured way is to stay; `useful` is what the last call was good for."""
        if self.is_fixed:
            return
        cost, self.setting = self.cost, self._climber.setting
        padding_max: float | None = None
        if cost.law is CostLaw.PADDED:
            padding_max = cost.flat_units
            if self._model.evidence < EVIDENCE and self._noted % LOOK_EVERY_CALLS == 0:
                padding_max = max(padding_max, useful)
        units_max = self.setting.units_max
        if units_max and cost is not self._model.cost:  # half of a call is then for what it carries
            units_max = max(units_max, round(cost.knee_units + cost.flat_units))
        if self.is_known_side_by_side and self.is_learnt:
            full_units = round(cost.knee_units + FULL_FLATS * cost.flat_units)
            units_max = min(units_max or full_units, full_units)
        self.shape = BatchShape(padding_max, units_max, cost.knee_units, cost.law)
