"""What becomes of a job: a reply frame, good or bad. Pure."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from autobatch_batcher.jobs import Job
from autobatch_shared.contract.errors import AutobatchError, DeadlineExceeded, UpstreamOverloaded, UpstreamTimeout
from autobatch_shared.contract.frames import ReplyHeader, encode

if TYPE_CHECKING:
    from autobatch_batcher.upstreams.slots import Slot

#: Makes the outcome of one job: from its part of the answer and the tokens of its inputs.
Tell = Callable[[Job, bytes, list[int]], "JobOutcome"]

#: Takes the outcomes of some jobs of a batch while others are still worked on.
Early = Callable[[list["JobOutcome"]], Awaitable[None]]


class AnsweringBatches(Protocol):
    """Turns a batch into one outcome for each of its jobs, whatever the upstream does."""

    async def answer(self, jobs: Sequence[Job], slot: "Slot", *, early: Early | None = None) -> list["JobOutcome"]:
        """Return one outcome a job, in the same order.

        Args:
            jobs: At least one job, all of one lane.
            slot: The permission for the call; it moves to another upstream when a retry does.
            early: Takes outcomes while other jobs of the batch are worked on; they are returned, too.
        """
        ...


class JobOutcome(msgspec.Struct, frozen=True):
    """Of one job.

    Attributes:
        job: Its id.
        frame: Its reply frame.
        is_failure: Whether that is a failure, of ours or of the upstream. It is stored only while the claim is ours: another
            batcher may have a good answer by then.
        is_late: Whether that is because its time, or the upstream's capacity, was not enough.
        may_wait: Whether the job should be called again when the upstream can, and get the reply only if its deadline is near.
    """

    job: str
    frame: bytes
    is_failure: bool = False
    is_late: bool = False
    may_wait: bool = False


def failure(job: str, error: AutobatchError) -> JobOutcome:
    """Return the outcome that says an error of ours of a job that is only known by its id."""
    frame = encode(ReplyHeader(job, 0, error.code), str(error).encode())
    return JobOutcome(job, frame, is_failure=True, is_late=_is_late(error))


def unanswered(job: Job, error: AutobatchError, now_ms: int, *, may_wait: bool = False) -> JobOutcome:
    """Return the same of a job that is held, with where its time went.

    Args:
        job: The job.
        error: What it is told.
        now_ms: The time, unix milliseconds of Redis's clock.
        may_wait: Whether it waits for another call: then it is told near its deadline.
    """
    header = job.header
    spent_us = ((header.deadline if may_wait else now_ms) - header.at) * 1000
    reply = ReplyHeader(
        header.id,
        0,
        error.code,
        queue_us=max(0, spent_us - job.called_us),
        upstream_us=job.called_us,
        batch=job.call_inputs,
    )
    frame = encode(reply, str(error).encode())
    return JobOutcome(header.id, frame, is_failure=True, is_late=_is_late(error), may_wait=may_wait)


def _is_late(error: AutobatchError) -> bool:
    return isinstance(error, DeadlineExceeded | UpstreamTimeout | UpstreamOverloaded)
