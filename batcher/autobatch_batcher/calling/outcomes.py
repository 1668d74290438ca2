"""What becomes of a job: a reply frame, good or bad. Pure."""

from collections.abc import Callable

import msgspec

from autobatch_batcher.calling.calls import Call
from autobatch_batcher.dialects.base import JSON, Answer
from autobatch_batcher.jobs import Job
from autobatch_shared.contract.call_headers import shared
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.contract.frames import ReplyHeader, encode

#: Makes the outcome of one job: from its part of the answer and the tokens of its inputs.
Tell = Callable[[Job, bytes, list[int]], "JobOutcome"]


class JobOutcome(msgspec.Struct, frozen=True):
    """Of one job.

    Attributes:
        job: Its id.
        frame: Its reply frame.
        is_failure: Whether that is a failure of ours.
        may_wait: Whether the job should be called again when the upstream can, and get the reply only if its deadline is near.
    """

    job: str
    frame: bytes
    is_failure: bool = False
    may_wait: bool = False


def failure(job: str, error: AutobatchError, *, may_wait: bool = False) -> JobOutcome:
    """Return the outcome that says an error of ours."""
    frame = encode(ReplyHeader(job, 0, error.code), str(error).encode())
    return JobOutcome(job, frame, is_failure=True, may_wait=may_wait)


def teller(call: Call, answer: Answer, upstream_us: int, now_ms: int) -> Tell:
    """Return what makes the outcome of one job of a call: its answer, its tokens, and how long it took to get it.

    Args:
        call: The call that was answered.
        answer: Its answer.
        upstream_us: Microseconds that the call took.
        now_ms: When the answer was in, on Redis's clock.
    """
    content_type = answer.content_type if call.merged is None or answer.status != 200 else JSON
    # No other request was in the call, and no text of it was computed for two.
    is_own = len(call.bodies) == 1 and call.inputs == call.jobs[0].header.n
    measures = answer.measures if is_own else shared(answer.measures)
    answered_inputs = sum([job.header.n for job in call.jobs])  # equal ones count each, though they are sent once

    def tell(job: Job, body: bytes, tokens: list[int]) -> JobOutcome:
        header = job.header
        reply = ReplyHeader(
            id=header.id,
            status=answer.status,
            content_type=content_type,
            queue_us=max(0, (now_ms - header.at) * 1000 - upstream_us),
            upstream_us=upstream_us,
            batch=answered_inputs,
            tokens=tokens,
            measures=measures,
        )
        return JobOutcome(header.id, encode(reply, body))

    return tell
