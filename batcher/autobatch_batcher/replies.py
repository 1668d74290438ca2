"""What a batcher tells of a job. Pure."""

import msgspec

from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.contract.frames import ReplyHeader, encode


class Reply(msgspec.Struct, frozen=True):
    """What to tell of one job: a reply frame, and whether it is a failure of ours."""

    job: str
    frame: bytes
    is_failure: bool = False


def failure(job: str, error: AutobatchError) -> Reply:
    """Return the reply that tells an error of ours."""
    return Reply(job, encode(ReplyHeader(job, 0, error.code), str(error).encode()), is_failure=True)
