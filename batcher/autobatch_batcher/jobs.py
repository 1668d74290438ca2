"""A job as the batcher holds it. Pure."""

from collections.abc import Hashable
from math import inf

import msgspec

from autobatch_shared.contract.frames import JobHeader


class Job(msgspec.Struct, frozen=True):
    """A claimed job.

    Attributes:
        header: The header of its frame.
        body: JSON array of `header.n` inputs; any bytes when verbatim.
        is_suspect: Whether several batchers died with it: it is called alone.
        ends_mono_s: Its deadline on this process's monotonic clock, as known at its claim: no step of Redis's clock moves it.
    """

    header: JobHeader
    body: bytes
    is_suspect: bool = False
    ends_mono_s: float = inf

    @property
    def lane(self) -> Hashable:
        """Jobs of equal lanes may share a call."""
        header = self.header
        if header.kind == "merge" and not self.is_suspect:
            return header.route, header.options
        return header.id

    @property
    def longest(self) -> int:
        """Length of its longest input."""
        return self.header.longest

    @property
    def units(self) -> int:
        """What it costs where it needs no padding."""
        return self.header.n * self.header.longest
