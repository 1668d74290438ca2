"""A job as the batcher holds it. Pure."""

from collections.abc import Hashable, Sequence
from math import inf

import msgspec

from autobatch_shared.contract.frames import CHARACTERS_PER_TOKEN, JobHeader
from autobatch_shared.tracing.trace_headers import trace_id_in

NAMED_MAX = 5  # requests in a line of the log


class Job(msgspec.Struct):
    """A claimed job.

    Attributes:
        header: The header of its frame.
        body: JSON array of `header.n` inputs; any bytes when verbatim.
        is_suspect: Whether several batchers died with it: it is called alone, or with its group.
        ends_mono_s: Its deadline on this process's monotonic clock, as known at its claim: no step of Redis's clock moves it.
        claimed_ms: When it was claimed, of bulk work, unix milliseconds of Redis's clock; None: it is no bulk work.
        group: What the suspects that share its call have in common; empty: it is called alone.
        charged_tokens: What its claim took off the budget of its upstream.
        called_us: Microseconds that the calls for it have taken, those that failed included; only this and the next ones change.
        call_inputs: Number of inputs of the last of these, equal ones counted each; 0: there was none.
        failing_since_s: When a call for it was refused or met an outage first, in seconds of the loop's clock; inf: none did.
        setbacks: How often it waited on after a call, as the upstream had refused that one with 429, or seemed to be another model.
    """

    header: JobHeader
    body: bytes
    is_suspect: bool = False
    ends_mono_s: float = inf
    claimed_ms: int | None = None
    group: str = ""
    charged_tokens: int = 0
    called_us: int = 0
    call_inputs: int = 0
    failing_since_s: float = inf
    setbacks: int = 0

    @property
    def is_bulk(self) -> bool:
        """Whether it waited for spare capacity."""
        return self.claimed_ms is not None

    @property
    def since_ms(self) -> int:
        """Since when it waits for its turn: from its arrival, but bulk work from its claim, or it were before all that came later."""
        return self.header.at if self.claimed_ms is None else self.claimed_ms

    @property
    def lane(self) -> Hashable:
        """Jobs of equal lanes may share a call."""
        header = self.header
        if header.kind == "merge" and not self.is_suspect:
            return header.route, header.options
        if header.kind == "merge" and self.group:
            return header.route, header.options, self.group
        return header.id

    @property
    def longest(self) -> int:
        """Length of its longest input."""
        return self.header.longest

    @property
    def per_token(self) -> int:
        """How many of the unit of `longest` a token is, about."""
        return 1 if self.header.is_in_tokens else CHARACTERS_PER_TOKEN

    @property
    def units(self) -> int:
        """What it costs where it needs no padding."""
        return self.header.n * self.header.longest


def named(jobs: Sequence[Job]) -> dict[str, object]:
    """Return what a line of the log says of jobs: their number, and the ids and traces of the requests of the first few."""
    first = [job.header for job in jobs[:NAMED_MAX]]
    ids = {
        "request_ids": [header.request for header in first],
        "trace_ids": [trace_id_in(each.trace) for each in first],
    }
    return {"jobs": len(jobs)} | {
        name: kept for name, each in ids.items() if (kept := [*dict.fromkeys(filter(None, each))])
    }
