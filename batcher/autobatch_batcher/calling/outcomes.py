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


def failure(job: str, error: AutobatchError, *, may_wait: bool = False) -> JobOutcome:
    """Return the outcome that says an error of ours."""
    frame = encode(ReplyHeader(job, 0, error.code), str(error).encode())
    is_late = isinstance(error, DeadlineExceeded | UpstreamTimeout | UpstreamOverloaded)
    return JobOutcome(job, frame, is_failure=True, is_late=is_late, may_wait=may_wait)
