"""Which upstream may be called now: slots over all replicas.

An upstream's limit of inputs in flight is that of all batchers together, and each keeps to its share. A call that needs more
room than is left waits for it; one that is larger than the share goes when the upstream has no other call of this batcher.

More than 250 lines, because each question to the pool is one of the same rules for all upstreams.
"""

from dataclasses import replace
from math import ceil
from random import randrange

from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.passing_over import PassingOver
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.options import Options
from autobatch_shared.contract.status import UpstreamStatus

BESIDE_MAX = (
    8  # more calls at once for parts of those that failed: without a proxy each of their clients would make its own
)
LOOK_AGAIN_S = 0.05  # while one is passed over


class Slot:
    """Permission for one call, taken from the moment a batch is formed until its answer is in.

    Attributes:
        called_s: Seconds that the calls of its batch have taken, those that failed included.

    Args:
        upstream: The replica to call.
        inputs: Number of inputs in the call.
        units: Its inputs times the length of the longest.
        was_busy: Whether there is other work for the upstream.
        waited_s: Seconds that its oldest job has waited.
        expected_s: Seconds that the upstream should need for it.
        is_beside: Whether it is for a part of a call that another slot is for.
    """

    def __init__(
        self,
        upstream: Replica,
        inputs: int,
        units: int,
        *,
        was_busy: bool,
        waited_s: float = 0.0,
        expected_s: float = 0.0,
        is_beside: bool = False,
    ) -> None:
        self.upstream = upstream
        self._is_beside = is_beside
        self.setting = upstream.tuner.setting
        self.was_busy = was_busy
        self.calls = 0  # in flight with it when it was taken, itself included
        self.waited_s = waited_s
        self.called_s = 0.0
        self._is_held = True
        self._inputs = inputs
        self._work = inputs + units
        self._expected_s = expected_s
        self._take(upstream, 1)
        self.calls = upstream.load.calls

    def besides(self, parts: int) -> list["Slot"]:
        """Return so many for parts of its call, which are made at once and fill no place of others, or what the upstream takes of them."""
        left = BESIDE_MAX - self.upstream.load.beside
        return [Slot(self.upstream, 0, 0, was_busy=True, is_beside=True) for _ in range(min(parts, left))]

    def step_aside(self) -> None:
        """Fill no place of others any more, unless too many do so; its call goes on."""
        if self._is_held and not self._is_beside and self.upstream.load.beside < BESIDE_MAX:
            self._take(self.upstream, -1)
            self._is_beside = True
            self._take(self.upstream, 1)
            self.upstream.load.made_room()

    def make_room(self) -> None:
        """Give it back while its jobs go on to be answered beside it."""
        self.release()
        self.upstream.load.made_room()

    def move_to(self, upstream: Replica) -> None:
        """Go on with another replica."""
        self.take_again(upstream)

    def release(self) -> None:
        """Give it back, unless that was done."""
        if self._is_held:
            self._is_held = False
            self._take(self.upstream, -1)

    def take_again(self, upstream: Replica) -> None:
        """Have one once more, of this upstream, even above its limit."""
        self.release()
        self._is_held = True
        self._take(upstream, 1)
        self.calls = upstream.load.calls
        self.upstream = upstream
        self.setting = upstream.tuner.setting

    def _take(self, upstream: Replica, sign: int) -> None:
        load = upstream.load
        if self._is_beside:
            load.beside += sign
            return
        load.calls += sign
        load.inputs += sign * self._inputs
        load.work += sign * self._work
        load.expected_s += sign * self._expected_s


class Pool:
    """All replicas. A call goes to the one with the least outstanding work.

    Attributes:
        is_stopping: Whether this batcher takes no more jobs.
        batchers: Number of batchers that share the upstreams, this one included, where no reports say how many call one.
        has_other_batchers: Whether another batcher has an upstream that may be called, and that is none of these.
        patience_s: Seconds that jobs wait for an upstream when all of them fail or cannot be reached.

    Args:
        upstreams: At least one.
        patience_s: Seconds that jobs wait for an upstream when all of them fail or cannot be reached.
    """

    def __init__(self, upstreams: list[Replica], patience_s: float = 0.0) -> None:
        self.upstreams = upstreams
        self.batchers = 1
        self.has_other_batchers = False
        self.is_stopping = False
        self.patience_s = patience_s
        self._passing_over = PassingOver()
        self._turns = randrange(len(upstreams))  # noqa: S311 - no secret; batchers do not know of each other

    @property
    def calls_in_flight(self) -> int:
        """Calls in flight to all replicas."""
        return sum([upstream.load.calls for upstream in self.upstreams])

    @property
    def steps_faster(self) -> int:
        """How often a replica was found to be faster by a step than was believed."""
        return sum([upstream.tuner.steps_faster for upstream in self.upstreams])

    @property
    def slots_free(self) -> int:
        """Calls that could be made now."""
        return sum([self._slots_free(upstream) for upstream in self._not_passed_over(self._usable(self._well()))])

    @property
    def idle_places(self) -> int:
        """Calls that could be made now of which none would wait for another one at its upstream."""
        idle = [upstream for upstream in self._not_passed_over(self._usable(self._well())) if upstream.is_idle]
        return sum([self._slots_free(each) if each.tuner.is_known_side_by_side else 1 for each in idle])

    def envelope_bytes(self, options: Options | None) -> int:
        """Return the bytes of a call with these options beside its inputs, to whichever upstream it goes."""
        return max([upstream.dialect.envelope_bytes(options) for upstream in self.upstreams])

    @property
    def stands_by(self) -> bool:
        """Whether others call all the upstreams that are well, or find well what is not well here."""
        well = self._well()
        return not any(each.is_ours for each in well or self.upstreams)

    @property
    def hands_over(self) -> bool:
        """Whether this batcher waits for the permits of another one, or has to give up its own."""
        return any(not each.is_ours and (each.duty.is_on or each.permits > 0) for each in self.upstreams)

    def statuses(self, now_s: float, *, has_jobs: bool = False) -> list[UpstreamStatus]:
        """Return what to publish of each: workers cut requests into jobs that a call within our share can carry.

        Args:
            now_s: The time now.
            has_jobs: Whether jobs are claimed that have not been sent.
        """
        statuses = []
        for each in self.upstreams:
            if not self.is_stopping and each.duty.is_on:
                asked_for = self._share(each)
            elif has_jobs and each.is_well:
                asked_for = max(each.permits, min(each.limits.inputs_max, self._share(each)))
            else:
                asked_for = 0  # what waits for it needs none
            each.permits = max(each.load.inputs, asked_for)
            statuses.append(each.status(min(each.limits.inputs_max, self._share(each)), now_s))
        return statuses

    def paced_per_s(self, drained_per_s: float) -> float:
        """Return how many inputs this batcher answers in a second of backlog: what was measured, or its share of the budgets."""
        paced = [each.pacing.inputs_a_second(each.limits.inputs_max) for each in self.upstreams if each.pacing]
        if not paced or not all(paced):
            return drained_per_s
        share_per_s = sum(paced) / self.batchers
        return min(share_per_s, drained_per_s) if drained_per_s else share_per_s

    def affordable_inputs(self, now_s: float) -> int:
        """Return how many inputs the budgets allow at once."""
        return sum([each.pacing.inputs_left(each.limits.inputs_max, now_s) for each in self.upstreams if each.pacing])

    def free(self, now_s: float, inputs: int = 1, waiting_inputs: int = 0) -> Replica | None:
        """Return where a call of so many inputs may go now; None while every slot is taken, or all are out and worth waiting for.

        One that was taken out gets its trial first, and while none is well the others wait for what comes of that. While some
        are well the others are left alone; when none is for longer than jobs wait for one, any is better than none. One of
        another model is never called.
        """
        well = self._well()
        is_alone = not well
        for upstream in self.upstreams:
            if (
                not upstream.breaker.is_closed
                and upstream.is_included
                and upstream.down_since_s is None
                and upstream.load.calls + upstream.load.beside == 0
                and upstream.breaker.may_try(now_s, is_alone=is_alone)
            ):
                return upstream
        if is_alone and (self.are_out(now_s) or self.is_trying):
            return None
        ready = [upstream for upstream in self._usable(well) if upstream.congestion.pause_ends_s <= now_s]
        if len(self.upstreams) > 1:
            self._passing_over.judge(ready, waiting_inputs, now_s)
            ready = self._not_passed_over(ready)
        return self._least_busy(self._in_turn(ready), inputs) if ready else None

    def are_out(self, now_s: float) -> bool:
        """Whether no replica may be called, for less time than jobs wait for one."""
        return not any(map(_may_be_called, self.upstreams)) and self.may_wait(now_s)

    def are_others_better(self, now_s: float) -> bool:
        """Whether other batchers should have what waits here: they have an upstream that may be called, and none of ours may be."""
        return self.has_other_batchers and self.are_out(now_s)

    @property
    def is_trying(self) -> bool:
        """Whether a trial is in flight of one that was taken out."""
        return any(upstream.breaker.is_trying for upstream in self.upstreams)

    def may_wait(self, now_s: float) -> bool:
        """Whether jobs that cannot be answered now should wait: all replicas fail, but not for too long."""
        failing_since_s = [upstream.failing_since_s for upstream in self.upstreams]
        known_s = [since_s for since_s in failing_since_s if since_s is not None]
        return len(known_s) == len(failing_since_s) and now_s - max(known_s) < self.patience_s

    def may_call(self, upstream: Replica, now_s: float) -> bool:
        """Whether a call may be made there, though it may be out: as its trial, or because another one is well."""
        is_alone = not self._well()
        return upstream.breaker.is_closed or not is_alone or upstream.breaker.may_try(now_s, is_alone=is_alone)

    def next_free_s(self, now_s: float) -> float | None:
        """When one may be called that may not now, whatever is in flight; None: that is not a matter of time."""
        times_s = [upstream.congestion.pause_ends_s for upstream in self.upstreams]
        is_alone = not self._well()
        times_s += [u.breaker.trial_s(is_alone=is_alone) for u in self.upstreams if not u.breaker.is_closed]
        if self._passing_over.now:  # by what the others are expected to do
            times_s.append(now_s + LOOK_AGAIN_S)
        return min([each_s for each_s in times_s if each_s > now_s], default=None)

    def passes_over(self, upstream: Replica) -> bool:
        """Whether others answer what waits sooner than it answers a call."""
        return upstream in self._passing_over.now

    def has_other_than(self, upstream: Replica) -> bool:
        """Whether another one is well, with room or without."""
        return bool(self._well_others(upstream))

    def other_than(self, slot: Slot, inputs: int, *, though_full: bool = False) -> Replica:
        """Return where to try again after a failure: another good one with room, or without if it must be another, or the same.

        One that is passed over is the last choice.

        One that another batcher calls has no permits for us, and is called all the same: a failure here is no reason for a client's error
        there. What it cannot take it refuses with 429, and the jobs wait.
        """
        others = self._well_others(slot.upstream)
        others = self._not_passed_over(others) or others
        theirs = [each for each in others if not each.duty.is_on and each.load.calls < each.tuner.setting.calls]
        ours = [each for each in others if each.duty.is_on and self._left(each) >= inputs]
        with_room = self._least_busy(ours, inputs)
        if with_room is not None:
            return with_room
        allowed = theirs or (others if though_full else [])
        return min(allowed, key=lambda each: each.load.work, default=slot.upstream)

    def _well_others(self, upstream: Replica) -> list[Replica]:
        return [other for other in self.upstreams if other is not upstream and other.is_well]

    def limits_now(self, upstream: Replica) -> Limits:
        """Return the limits of its next call, given what is in flight. A trial is one job: more need not fail with it."""
        is_trial = not upstream.breaker.is_closed or upstream in self._passing_over.looked_at
        limits, left = upstream.limits, 1 if is_trial else self._left(upstream)
        if (jobs_max := upstream.call_jobs_max) is not None:
            left = min(left, jobs_max)
        return limits if limits.inputs_max <= left else replace(limits, inputs_max=left)

    def room(self, upstream: Replica) -> int:
        """Return the most inputs that a job may have to be sent now: any number while no call is in flight."""
        return self._left(upstream) if upstream.load.calls else UNKNOWN_MAX

    def slowest_call_s(self, now_s: float) -> float:
        """Return the seconds of the slowest of the last calls to any upstream; 0 where there were none lately."""
        return max([upstream.tuner.recent.most(now_s, 1).any_s for upstream in self.upstreams])

    def _in_turn(self, upstreams: list[Replica]) -> list[Replica]:
        """The same ones, beginning with another one each time: of equals the first is taken."""
        self._turns += 1
        first = self._turns % len(upstreams)
        return upstreams[first:] + upstreams[:first]

    def _well(self) -> list[Replica]:
        return [upstream for upstream in self.upstreams if upstream.is_well]

    def _usable(self, well: list[Replica]) -> list[Replica]:
        """The well ones that are ours to call; else all that are well; else those of the model; else those that have not said yet which they serve."""
        if well:
            return [upstream for upstream in well if upstream.duty.is_on] or well
        included = [upstream for upstream in self.upstreams if upstream.is_included]
        return included or [upstream for upstream in self.upstreams if upstream.standing.served is None]

    def _not_passed_over(self, upstreams: list[Replica]) -> list[Replica]:
        passed_over = self._passing_over.now
        return [upstream for upstream in upstreams if upstream not in passed_over] if passed_over else upstreams

    def _least_busy(self, upstreams: list[Replica], inputs: int) -> Replica | None:
        with_room = [upstream for upstream in upstreams if self._has_room(upstream, inputs)]
        return min(with_room, key=lambda u: u.load.work, default=None)

    def _has_room(self, upstream: Replica, inputs: int) -> bool:
        is_free = upstream.load.calls < upstream.tuner.setting.calls and self.room(upstream) >= inputs
        return is_free and not self._would_be_a_rest(upstream)

    def _would_be_a_rest(self, upstream: Replica) -> bool:
        """Whether the next call would get what the one before has left, and wait for it: one call can have it all soon."""
        if not upstream.load.calls or not upstream.tuner.is_known_one_by_one:
            return False
        return self._left(upstream) < min(upstream.limits.inputs_max, self._in_flight_max(upstream) / 2)

    def _slots_free(self, upstream: Replica) -> int:
        calls = upstream.tuner.setting.calls - upstream.load.calls
        return max(0, min(calls, ceil(self._left(upstream) / upstream.limits.inputs_max)))

    def _left(self, upstream: Replica) -> int:
        return int(self._in_flight_max(upstream)) - upstream.load.inputs

    def _in_flight_max(self, upstream: Replica) -> float:
        return min(self._permits(upstream), upstream.congestion.inputs_max)

    def _permits(self, upstream: Replica) -> int:
        """Inputs that we may have in flight: at least one, or more batchers than there are places would stand still.

        Never more than was published, and than the others had published at that moment: so two do not take the same ones.
        One that stands by sends what it has claimed within the permits that it had. What was claimed after it gave these up goes one
        call after the other, before the one on duty knows of it: one input a call would take the upstream far longer.
        """
        free, permits = upstream.limits.in_flight_inputs_max - upstream.last_duty.taken, upstream.permits
        if not upstream.duty.is_on and not upstream.load.calls:
            permits = max(permits, upstream.limits.inputs_max)
        return max(min(self._share(upstream), permits, free), 1)

    def _share(self, upstream: Replica) -> int:
        """Inputs that we may have in flight once the others have given up theirs."""
        return max(upstream.limits.in_flight_inputs_max // (upstream.last_duty.sharers or self.batchers), 1)


def _may_be_called(upstream: Replica) -> bool:
    """Whether it can be reached and is not taken out; that its health is not known yet is no reason against it."""
    return upstream.down_since_s is None and upstream.breaker.is_closed and upstream.is_included
