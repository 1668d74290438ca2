"""What is posted for the jobs of a batch. Pure."""

from collections.abc import Sequence

import msgspec

from autobatch_batcher.dialects.merging import Merged, merge
from autobatch_batcher.jobs import Job

JSON = "application/json"


class Call(msgspec.Struct, frozen=True):
    """What is posted for some jobs.

    Attributes:
        jobs: Of one lane.
        body: As it goes over the wire.
        content_type: None where the client sent none.
        inputs: Different inputs in it.
        merged: Which input belongs to whom; None when verbatim.
    """

    jobs: Sequence[Job]
    body: bytes
    content_type: str | None
    inputs: int
    merged: Merged | None

    @property
    def bodies(self) -> list[bytes]:
        """Different ones of its jobs, in their order: who asked for the same shares its fate."""
        return list(dict.fromkeys([job.body for job in self.jobs]))


def prepared(jobs: Sequence[Job]) -> Call:
    """Return the call that answers these jobs of one lane."""
    first = jobs[0]
    if first.header.kind == "verbatim":
        return Call(jobs, first.body, first.header.content_type, first.header.n, None)
    merged = merge(jobs)
    return Call(jobs, merged.body, JSON, merged.inputs, merged)
