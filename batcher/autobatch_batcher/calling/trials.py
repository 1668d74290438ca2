"""What a trial of suspects needs: who makes the call, and the record by which all batchers try one at a time."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from autobatch_batcher.calling.outcomes import JobOutcome
from autobatch_batcher.jobs import Job
from autobatch_batcher.upstreams.slots import Slot


class Answering(Protocol):
    """How a trial is made: `Caller.answer`."""

    def __call__(
        self, jobs: Sequence[Job], slot: Slot, attempts_max: int | None = None, *, is_trial: bool = False
    ) -> Awaitable[list[JobOutcome]]:
        """Return one outcome a job; raise UpstreamBroken when the upstream hangs up."""
        ...


class Trials(Protocol):
    """What all batchers must agree on: see `BatcherQueue`."""

    def begin_trial(self, ttl_ms: int) -> Awaitable[bool]:
        """Become the only one that tries, unless another one is."""
        ...

    def end_trial(self, linger_ms: int) -> Awaitable[None]:
        """Let the next one try so much later."""
        ...

    def is_trying(self) -> Awaitable[bool]:
        """Whether any batcher is trying one."""
        ...

    def bury(self, frame: bytes) -> Awaitable[None]:
        """Keep a job that is given up."""
        ...
