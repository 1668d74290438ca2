"""Jobs wait in lanes, and a lane gives a batch. Pure.

1. Only jobs of one lane share a batch: same route, same options. Solo and verbatim jobs are lanes of one, and so is a suspect
   or a group of them, which came together.
2. A policy (`autobatch_batcher.forming.policy`) decides which lane gives a batch, and when;
   `autobatch_batcher.forming.shaping` decides which of its jobs are in it.
3. Every job that waits with the same input as one of the batch goes with it: that costs nothing.
"""

from bisect import insort
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

from autobatch_batcher.forming.expiry import is_too_late
from autobatch_batcher.forming.shaping import pick
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.recent_calls import CallTime
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.upstreams.limits import Limits
from autobatch_shared.contract.options import Options


class Reason(StrEnum):
    """Why a batch left when it did.

    FULL: its jobs have all the inputs that a call to this upstream may have, equal ones counted each. SHAPED: one input more
    would cost more than a call of its own, by what the tuner has learnt. ALONE: its job shares no call. DUE: it has waited for long enough. IDLE: the upstream had nothing to do.
    DRAIN: the batcher stops.
    """

    FULL = "full"
    SHAPED = "shaped"
    ALONE = "alone"
    DUE = "due"
    IDLE = "idle"
    DRAIN = "drain"


class Batch(msgspec.Struct, frozen=True):
    """Jobs of one lane, the oldest first or by length.

    Attributes:
        jobs: The jobs that left together, at least one.
        reason: Why the batch left when it did.
        inputs: Number of inputs of its call, where jobs with the same body share theirs.
        longest: Length of the longest input, in the unit of `JobHeader.longest`.
        useful: Sum of the inputs' lengths: what an upstream that does not pad computes.
        oldest_ms: When the oldest job arrived, unix milliseconds of Redis's clock.
    """

    jobs: tuple[Job, ...]
    reason: Reason
    inputs: int
    longest: int
    useful: int
    oldest_ms: int

    @property
    def units(self) -> int:
        """What an upstream that pads computes."""
        return self.inputs * self.longest

    def waited_share(self, now_ms: int) -> float:
        """Return what share of its time a job has waited, the most of all its jobs; 1 is its deadline."""
        return max([(now_ms - job.header.at) / max(job.header.deadline - job.header.at, 1) for job in self.jobs])


def batch_of(jobs: Sequence[Job], reason: Reason) -> Batch:
    """Return the batch of these jobs, with its books made once."""
    headers = {job.body: job.header for job in jobs}.values()
    longest = max([header.longest for header in headers])
    inputs = sum([header.n for header in headers])
    useful = sum([header.n * header.longest for header in headers])
    return Batch(tuple(jobs), reason, inputs, longest, useful, min([job.header.at for job in jobs]))


class Lanes:
    """All jobs that this batcher holds and has not sent.

    Attributes:
        inputs: Number of inputs of all jobs that are held.

    Args:
        envelope_bytes: Returns how many bytes a call with these options has beside its inputs.
    """

    def __init__(self, envelope_bytes: Callable[[Options | None], int]) -> None:
        self.inputs = 0
        self._envelope_bytes = envelope_bytes
        self._lanes: dict[Hashable, list[Job]] = {}

    def __iter__(self) -> Iterator[Job]:
        for jobs in self._lanes.values():
            yield from jobs

    def add(self, job: Job) -> None:
        """Put a job among the others of its lane, in the order of arrival; workers may push a little out of it."""
        lane = self._lanes.setdefault(job.lane, [])
        if not lane or lane[-1].since_ms <= job.since_ms:
            lane.append(job)
        else:
            insort(lane, job, key=_arrival)
        self.inputs += job.header.n

    def by_age(self) -> list[list[Job]]:
        """Return the lanes, each with its oldest job first, and the lane with the oldest job first."""
        return sorted(self._lanes.values(), key=_oldest_ms)

    def has_whole(self, limits: Limits, shape: BatchShape) -> bool:
        """Whether some lane gives a batch that nothing could be added to."""
        return any(why_whole(lane, limits, shape) is not None for lane in self._lanes.values())

    def oldest_ms(self) -> int | None:
        """When the oldest job arrived, on Redis's clock; None when nothing is held."""
        return min(map(_oldest_ms, self._lanes.values()), default=None)

    def oldest_inputs(self) -> int:
        """Return the inputs of the oldest job, for whose call there must be room first; 1 when nothing is held."""
        oldest = min(self._lanes.values(), key=_oldest_ms, default=None)
        return 1 if oldest is None else oldest[0].header.n

    def sendable(self, call_inputs_max: int, slots_free: int) -> int:
        """Return how many inputs could be sent now beside those that are held; at least one."""
        return max(call_inputs_max * slots_free - self.inputs, 1)

    def take(self, lane: list[Job], reason: Reason, limits: Limits, shape: BatchShape) -> Batch:
        """Take a batch out of one of the lanes."""
        return batch_of(self._fill(lane, limits, shape), reason)

    def take_expired(self, now_ms: int, takes: CallTime) -> list[Job]:
        """Take out the jobs that cannot be answered in time, where a call takes so long."""
        last_ms = now_ms + 1000 * takes.any_s  # of nearly all jobs the deadline is further away
        return self._remove([job for job in self if job.header.deadline <= last_ms and is_too_late(job, now_ms, takes)])

    def take_out(self, ids: Container[str]) -> list[Job]:
        """Take out the jobs with these ids, those that are held."""
        return self._remove([job for job in self if job.header.id in ids])

    def clear(self) -> None:
        """Forget all jobs."""
        self._lanes.clear()
        self.inputs = 0

    def _remove(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            self._set(job.lane, [kept for kept in self._lanes[job.lane] if kept is not job])
            self.inputs -= job.header.n
        return jobs

    def _fill(self, jobs: list[Job], limits: Limits, shape: BatchShape) -> list[Job]:
        """Take out what `shaping` picks, and the twins of its inputs."""
        if len(jobs) == 1:
            taken = jobs
            left: list[Job] = []
        else:
            taken = pick(jobs, limits, shape, self._envelope_bytes(jobs[0].header.options))
            ids = {job.header.id for job in taken}
            bodies = {job.body for job in taken}
            left = []
            for job in jobs:
                if job.header.id in ids:
                    continue
                (taken if job.body in bodies else left).append(job)
        self._set(taken[0].lane, left)
        self.inputs -= sum([job.header.n for job in taken])
        return taken

    def _set(self, lane: Hashable, jobs: list[Job]) -> None:
        if jobs:
            self._lanes[lane] = jobs
        else:
            self._lanes.pop(lane, None)


def _arrival(job: Job) -> int:
    return job.since_ms


def _oldest_ms(lane: list[Job]) -> int:
    return lane[0].since_ms


def why_whole(lane: list[Job], limits: Limits, shape: BatchShape) -> Reason | None:
    """Why no further input may join a lane's batch, or none would fit; None: one may."""
    if lane[0].is_suspect or lane[0].lane == lane[0].header.id:
        return Reason.ALONE
    return why_full(lane, limits, shape)


def why_full(jobs: Iterable[Job], limits: Limits, shape: BatchShape) -> Reason | None:
    """Why the jobs of one lane are as many as a batch may carry; None: they are not."""
    inputs = body_bytes = longest = useful = 0
    for job in jobs:
        header = job.header
        inputs += header.n
        body_bytes += len(job.body)
        longest = max(longest, header.longest)
        useful += job.units
        if inputs >= limits.inputs_max or body_bytes >= limits.body_bytes_max:
            return Reason.FULL
        if not shape.has_room(inputs, longest, useful):
            return Reason.SHAPED
        if shape.law.tokens((inputs + 1) * longest, useful + longest) > limits.batch_tokens_max * job.per_token:
            return Reason.FULL
        if useful + longest > limits.total_tokens_max * job.per_token:
            return Reason.FULL
    return None
