"""The policy of TARGET_P99_MS: as `adaptive`, but as much as can be answered within the target, and nothing that cannot. Pure.

1. A call is no larger than what leaves time for it and for the wait before it, which is as long as the call before.
   Where calls wait for each other there is one at a time: at the upstream nothing can join a call any more.
2. What waits is refused once its call would end too late; so under overload those that are sent are in time, rather than all late.
3. What a call takes is a prediction. So the time that it may take is not the target but a budget below it, which falls with
   each late answer and rises with each that is in time, 99 to 1: where it stays, one of a hundred is late.
4. A job that has just come is never refused: only calls can show that an upstream has become faster.
5. Bulk work has no target.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from autobatch_batcher.forming.adaptive import AdaptivePolicy
from autobatch_batcher.forming.lanes import Batch, Lanes
from autobatch_batcher.forming.policy import CallMoment
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.cost import CostLaw

LATE_SHARE = 0.01
STEP = 0.005  # of the target, for one late answer
LATE_MAX = 4  # that count of one call: they are late for one reason
BUDGET_START, BUDGET_MIN = 0.85, 0.5  # of the target
FRESH = 0.25  # of the budget: so young a job is not refused
LEARNING_CALLS = 64  # until it is known whether calls wait for each other
LOOK_EVERY_CALLS = 16  # one in so many shows whether they still do
FLAT_TIMES = 1.25  # a call that may take no longer than an empty one carries nothing
UNITS_START, GROWTH = 1024, 1.25  # times the largest call that was in time: of larger ones nothing is known
ANSWER_MS = 1.0  # from a reply in Redis to the client


class TargetPolicy(AdaptivePolicy):
    """Keeps the p99 of what it sends below a target.

    Args:
        wait_max_ms: The longest wait for companions, in milliseconds from a job's arrival.
        target_ms: Milliseconds from a job's arrival to its answer, within which 99 of 100 have to be answered.
    """

    has_target = True

    def __init__(self, wait_max_ms: int, target_ms: int) -> None:
        super().__init__(wait_max_ms)
        self._target_ms = target_ms - ANSWER_MS
        self.budget_ms = BUDGET_START * self._target_ms
        self._calls = 0
        self._law = CostLaw.PADDED
        self._units_top = UNITS_START

    def take(self, now: CallMoment, lanes: Lanes) -> Batch | None:
        """Take a batch whose call leaves time for the wait before it; where calls wait for each other, one at a time."""
        if self._waits_for_the_call_before(now):
            return None
        shape = replace(now.shape, units_max=self._units_max(now, lanes))  # time is the limit, not what the climb tries
        batch = super().take(replace(now, shape=shape), lanes)
        if batch is not None:
            self._calls += 1
            self._law = now.cost.law
            self._units_top = max(self._units_top, self._law.units(batch.units, batch.useful, batch.inputs))
        return batch

    def hopeless(self, now: CallMoment, lanes: Lanes) -> list[str]:
        """Return the ids of the jobs that cannot be answered within the target any more."""
        jobs = [job for job in lanes if not job.is_bulk]
        if not jobs or self._waits_for_the_call_before(now):
            return []
        cost, budget_ms, fresh_ms = now.cost, self.budget_ms - 1000 * now.ahead_s, FRESH * self.budget_ms
        call_ms = min(1000 * cost.seconds(sum([job.units for job in jobs])), self._call_max_ms(now))
        return [
            job.header.id
            for job in jobs
            if now.now_ms - job.header.at > max(budget_ms - max(call_ms, 1000 * cost.seconds(job.units)), fresh_ms)
        ]

    def note_answered(self, jobs: Sequence[Job], now_ms: int) -> None:
        """Learn from the jobs of a call whether the budget is too large, or too small."""
        latencies_ms = [now_ms - job.header.at for job in jobs if not job.is_bulk]
        late = sum([latency_ms > self._target_ms for latency_ms in latencies_ms])
        step_ms = (
            STEP * self._target_ms * (LATE_SHARE * (len(latencies_ms) - late) - (1 - LATE_SHARE) * min(late, LATE_MAX))
        )
        self.budget_ms = min(max(self.budget_ms + step_ms, BUDGET_MIN * self._target_ms), self._target_ms)
        if late:
            inputs = sum([job.header.n for job in jobs])
            units = self._law.units(
                inputs * max([job.longest for job in jobs]), sum([job.units for job in jobs]), inputs
            )
            self._units_top = max(min(self._units_top, int(units / 2 / GROWTH)), UNITS_START)

    def _waits_for_the_call_before(self, now: CallMoment) -> bool:
        """Whether a call would only wait at the upstream now, where no companion can join it any more."""
        if now.is_idle or now.is_draining or not now.is_one_by_one:
            return False
        return self._calls > LEARNING_CALLS and self._calls % LOOK_EVERY_CALLS > 0

    def _call_max_ms(self, now: CallMoment) -> float:
        """The longest that a call may take: before it a job waits as long for a slot, or a part of that with several calls."""
        calls = 1 if now.is_one_by_one else now.calls_max
        least_ms = min(FLAT_TIMES * 1000 * now.cost.flat_s, self.budget_ms)
        return max(self.budget_ms / (1 + 1 / calls), least_ms)

    def _units_max(self, now: CallMoment, lanes: Lanes) -> int:
        """The most units of a call: what it carries, and one more of its longest input.

        Where all that waits is long, a quarter more would be none: one job more than the largest call had may always be tried.
        """
        cost, law = now.cost, now.cost.law
        one_more = [
            law.units((job.header.n + 1) * job.longest, job.units + job.longest, job.header.n + 1) for job in lanes
        ]
        units_max = max(GROWTH * self._units_top, self._units_top + min(one_more, default=0))
        if cost.per_unit_s:
            units_max = min(
                cost.knee_units + (self._call_max_ms(now) / 1000 - cost.flat_s) / cost.per_unit_s, units_max
            )
        return max(1, int(units_max))
