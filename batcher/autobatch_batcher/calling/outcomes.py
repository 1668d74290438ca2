"""What becomes of a job: a reply frame, good or bad. Pure."""

import msgspec

from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.contract.frames import ReplyHeader, encode


class JobOutcome(msgspec.Struct, frozen=True):
    """Of one job: its id, its reply frame, and whether that is a failure, of ours or of the upstream.

    A failure is stored only while the claim is ours: another batcher may have a good answer by then.
    """

    job: str
    frame: bytes
    is_failure: bool = False


def failure(job: str, error: AutobatchError) -> JobOutcome:
    """Return the outcome that says an error of ours."""
    return JobOutcome(job, encode(ReplyHeader(job, 0, error.code), str(error).encode()), is_failure=True)
