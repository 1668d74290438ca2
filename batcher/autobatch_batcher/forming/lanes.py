"""Form batches: jobs wait in lanes, and a lane that is ready gives a batch. Pure; the clock is passed in.

1. Only jobs of one lane share a batch: same route, same options. Solo, verbatim and retried jobs are lanes of one.
2. A lane is ready when it is full, when its oldest job has waited long enough, or when waiting cannot pay.
3. Of several ready lanes, the one with the oldest job goes first; which of its jobs, `autobatch_batcher.forming.shaping` decides.
4. Whoever waits with the same input as one of the batch goes with it: it costs nothing.
"""

from bisect import insort
from collections.abc import Hashable, Iterator, Sequence
from enum import StrEnum
from operator import itemgetter

import msgspec

from autobatch_batcher.forming.shaping import Shape, is_full, pick
from autobatch_batcher.jobs import Job
from autobatch_batcher.upstreams.limits import Limits


class Reason(StrEnum):
    """Why a batch left when it did."""

    FULL = "full"
    DUE = "due"
    IDLE = "idle"
    DRAIN = "drain"


class Batch(msgspec.Struct, frozen=True):
    """Jobs of one lane, the oldest first or by length.

    Attributes:
        jobs: At least one.
        reason: Why they left.
        inputs: Of their call: twins share theirs.
        longest: Length of the longest input.
        useful: Sum of the lengths: what an upstream that does not pad computes.
        oldest_ms: When the oldest job arrived, on Redis's clock.
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


def batch_of(jobs: Sequence[Job], reason: Reason) -> Batch:
    """Return the batch of these jobs, with its books made once."""
    headers = {job.body: job.header for job in jobs}.values()
    longest = max([header.longest for header in headers])
    inputs = sum([header.n for header in headers])
    useful = sum([header.n * header.longest for header in headers])
    return Batch(tuple(jobs), reason, inputs, longest, useful, min([job.header.at for job in jobs]))


class Moment(msgspec.Struct, frozen=True):
    """What the decision depends on besides the jobs.

    Attributes:
        now_ms: Redis's clock.
        is_idle: Whether nothing is in flight, so that a wait for companions would only be a wait.
        is_draining: Whether this batcher is about to stop.
    """

    now_ms: int
    is_idle: bool
    is_draining: bool = False


class Lanes:
    """All jobs that this batcher holds and has not sent.

    Args:
        wait_max_ms: The longest wait for companions, from a job's arrival.
        is_adaptive: Whether a batch leaves at once when nothing is in flight.
    """

    def __init__(self, wait_max_ms: int, *, is_adaptive: bool) -> None:
        self._wait_max_ms = wait_max_ms
        self.is_adaptive = is_adaptive
        self._lanes: dict[Hashable, list[Job]] = {}
        self.inputs = 0

    def __iter__(self) -> Iterator[Job]:
        for jobs in self._lanes.values():
            yield from jobs

    def add(self, job: Job) -> None:
        """Put a job among the others of its lane, in the order of arrival; workers may push a little out of it."""
        insort(self._lanes.setdefault(job.lane, []), job, key=_arrival)
        self.inputs += job.header.n

    def has_ready(self, limits: Limits, shape: Shape) -> bool:
        """Whether some lane gives a batch that nothing could be added to."""
        return any(_is_whole(jobs, limits, shape) for jobs in self._lanes.values())

    def due_ms(self) -> int | None:
        """When the oldest job's wait will be over, on Redis's clock; None when nothing is held."""
        oldest_ms = self.oldest_ms()
        return None if oldest_ms is None else oldest_ms + self._wait_max_ms

    def oldest_ms(self) -> int | None:
        """When the oldest job arrived, on Redis's clock; None when nothing is held."""
        return min((jobs[0].header.at for jobs in self._lanes.values()), default=None)

    def take(self, moment: Moment, limits: Limits, shape: Shape) -> Batch | None:
        """Take the batch that should be sent now, if any."""
        ready = [
            (jobs[0].header.at, lane, reason)
            for lane, jobs in self._lanes.items()
            if (reason := self._reason(jobs, moment, limits, shape)) is not None
        ]
        if not ready:
            return None
        _, lane, reason = min(ready, key=itemgetter(0))
        return batch_of(self._fill(lane, limits, shape), reason)

    def take_expired(self, now_ms: int) -> list[Job]:
        """Take out the jobs whose deadline has passed by then: nobody waits for them any more."""
        expired = [job for job in self if job.header.deadline <= now_ms]
        for job in expired:
            self._set(job.lane, [kept for kept in self._lanes[job.lane] if kept is not job])
            self.inputs -= job.header.n
        return expired

    def clear(self) -> None:
        """Forget all jobs."""
        self._lanes.clear()
        self.inputs = 0

    def _reason(self, jobs: list[Job], moment: Moment, limits: Limits, shape: Shape) -> Reason | None:
        if _is_whole(jobs, limits, shape):
            return Reason.FULL
        if moment.is_draining:
            return Reason.DRAIN
        if self.is_adaptive and moment.is_idle:
            return Reason.IDLE
        if jobs[0].header.at + self._wait_max_ms <= moment.now_ms:
            return Reason.DUE
        return None

    def _fill(self, lane: Hashable, limits: Limits, shape: Shape) -> list[Job]:
        """Take out what `shaping` picks, and the twins of its inputs."""
        jobs = self._lanes[lane]
        if len(jobs) == 1:
            taken = jobs
            left: list[Job] = []
        else:
            taken = pick(jobs, limits, shape)
            ids = {job.header.id for job in taken}
            bodies = {job.body for job in taken}
            left = []
            for job in jobs:
                if job.header.id in ids:
                    continue
                (taken if job.body in bodies else left).append(job)
        self._set(lane, left)
        self.inputs -= sum([job.header.n for job in taken])
        return taken

    def _set(self, lane: Hashable, jobs: list[Job]) -> None:
        if jobs:
            self._lanes[lane] = jobs
        else:
            self._lanes.pop(lane, None)


def _arrival(job: Job) -> int:
    return job.header.at


def _is_whole(jobs: list[Job], limits: Limits, shape: Shape) -> bool:
    """Whether no further input may join, or none would fit."""
    return jobs[0].lane == jobs[0].header.id or is_full(jobs, limits, shape)
