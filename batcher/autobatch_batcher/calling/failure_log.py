"""Say once what keeps failing: an upstream that is down fails a hundred calls a second for one reason. The clock is passed in."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from autobatch_batcher.jobs import Job, named

log = logging.getLogger(__name__)

SAY_EVERY_S = 10.0


@dataclass(slots=True)
class _Said:
    """What was logged last of one upstream and cause, and the calls since."""

    said_s: float
    calls: int = 0


class FailureLog:
    """The log of failed calls: a line for each new cause, and then one in `SAY_EVERY_S` with their number.

    Attributes:
        is_telling: Whether a call failed after the last that was good: only then a good one is to be told of.
    """

    def __init__(self) -> None:
        self.is_telling = False
        self._said: dict[tuple[str, str, str], _Said] = {}

    def failed(self, upstream: str, cause: str, then: str, jobs: Sequence[Job], now_s: float) -> None:
        """Take note of a failed call.

        Args:
            upstream: Its URL, which may be shown.
            cause: What went wrong: see `UpstreamError.cause`. It has nothing of any request.
            then: What becomes of its jobs: `retried`, `split`, `tried alone`, `waiting`, `failed`.
            jobs: The jobs in the call.
            now_s: The time now, in seconds of any monotonic clock.
        """
        self.is_telling = True
        said = self._said.get((upstream, cause, then))
        if said is not None and now_s - said.said_s < SAY_EVERY_S:
            said.calls += 1
            return
        before = said.calls if said is not None else 0
        self._said[upstream, cause, then] = _Said(now_s)
        log.warning(
            "upstream_call_failed",
            extra={"upstream": upstream, "cause": cause, "then": then, **named(jobs), "unlogged_calls": before},
        )

    def answered(self, upstream: str) -> None:
        """Take note of a good call: the next failure is news."""
        self._said = {key: said for key, said in self._said.items() if key[0] != upstream}
        self.is_telling = bool(self._said)
