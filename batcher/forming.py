"""Form batches: jobs wait in lanes, and a lane that is ready gives a batch. Pure; the clock is passed in.

1. Only jobs of one lane share a batch: same route, same options. Solo, verbatim and retried jobs are lanes of one.
2. A lane is ready when it is full, when its oldest job has waited long enough, or when waiting cannot pay.
3. Of several ready lanes, the one with the oldest job goes first.
4. In a lane order is kept; a job too big for the room left does not keep smaller ones behind it from that room, and
   the oldest is always taken, so nobody starves.
"""

from bisect import insort
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from autobatch.frames import JobHeader
from batcher.cutting import splice
from batcher.limits import Limits


class Reason(StrEnum):
    """Why a batch left when it did."""

    FULL = "full"
    DUE = "due"
    IDLE = "idle"
    DRAIN = "drain"


class Job(msgspec.Struct, frozen=True):
    """A claimed job.

    Attributes:
        header: As in its frame.
        body: JSON array of `header.n` inputs; any bytes when verbatim.
        is_retried: Whether a batcher died with it before.
    """

    header: JobHeader
    body: bytes
    is_retried: bool = False

    @property
    def lane(self) -> str:
        """Jobs of equal lanes may share a call."""
        header = self.header
        if header.kind == "merge" and not self.is_retried:
            return f"{header.route} {header.options}"
        return header.id


class Batch(msgspec.Struct, frozen=True):
    """Jobs of one lane, in order of arrival."""

    jobs: tuple[Job, ...]
    reason: Reason

    @property
    def inputs(self) -> int:
        """Inputs of all jobs."""
        return sum(job.header.n for job in self.jobs)


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
        self._is_adaptive = is_adaptive
        self._lanes: dict[str, list[Job]] = {}
        self.inputs = 0

    def __iter__(self) -> Iterator[Job]:
        for jobs in self._lanes.values():
            yield from jobs

    def add(self, job: Job) -> None:
        """Put a job among the others of its lane, in the order of arrival; workers may push a little out of it."""
        insort(self._lanes.setdefault(job.lane, []), job, key=_arrival)
        self.inputs += job.header.n

    def has_ready(self, limits: Limits) -> bool:
        """Whether some lane gives a batch that nothing could be added to."""
        return any(_is_full(jobs, limits) for jobs in self._lanes.values())

    def due_ms(self) -> int | None:
        """When the oldest job's wait will be over, on Redis's clock; None when nothing is held."""
        if not self._lanes:
            return None
        return min(jobs[0].header.at for jobs in self._lanes.values()) + self._wait_max_ms

    def take(self, moment: Moment, limits: Limits) -> Batch | None:
        """Take the batch that should be sent now, if any."""
        ready = [
            (jobs[0].header.at, lane, reason)
            for lane, jobs in self._lanes.items()
            if (reason := self._reason(jobs, moment, limits)) is not None
        ]
        if not ready:
            return None
        _, lane, reason = min(ready)
        return Batch(self._fill(lane, limits), reason)

    def take_expired(self, now_ms: int) -> list[Job]:
        """Take out the jobs whose deadline has passed: nobody waits for them any more."""
        expired = [job for job in self if job.header.deadline <= now_ms]
        for job in expired:
            self._set(job.lane, [kept for kept in self._lanes[job.lane] if kept is not job])
            self.inputs -= job.header.n
        return expired

    def clear(self) -> None:
        """Forget all jobs."""
        self._lanes.clear()
        self.inputs = 0

    def _reason(self, jobs: list[Job], moment: Moment, limits: Limits) -> Reason | None:
        if _is_full(jobs, limits):
            return Reason.FULL
        if moment.is_draining:
            return Reason.DRAIN
        if self._is_adaptive and moment.is_idle:
            return Reason.IDLE
        if jobs[0].header.at + self._wait_max_ms <= moment.now_ms:
            return Reason.DUE
        return None

    def _fill(self, lane: str, limits: Limits) -> tuple[Job, ...]:
        """Take the oldest job of the lane and whatever fits beside it."""
        taken: list[Job] = []
        left: list[Job] = []
        inputs = 0
        body_bytes = len(splice((), self._lanes[lane][0].header.options))
        for job in self._lanes[lane]:
            n, size = job.header.n, len(job.body) - 1  # less two brackets, and a comma more
            if taken and (inputs + n > limits.inputs_max or body_bytes + size > limits.body_bytes_max):
                left.append(job)
                continue
            taken.append(job)
            inputs += n
            body_bytes += size
        self._set(lane, left)
        self.inputs -= inputs
        return tuple(taken)

    def _set(self, lane: str, jobs: list[Job]) -> None:
        if jobs:
            self._lanes[lane] = jobs
        else:
            self._lanes.pop(lane, None)


def _arrival(job: Job) -> int:
    return job.header.at


def _is_full(jobs: list[Job], limits: Limits) -> bool:
    """Whether no further input, or not the next job, would fit, or none may join."""
    if jobs[0].lane == jobs[0].header.id:
        return True
    inputs = body_bytes = 0
    for job in jobs:
        inputs += job.header.n
        body_bytes += len(job.body)
        if inputs >= limits.inputs_max or body_bytes >= limits.body_bytes_max:
            return True
    return False
