"""A request that was read: its plan, the model that it is for, and its time."""

import time
from typing import NamedTuple

from autobatch_proxy.models.model_end import ModelEnd
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.contract.errors import DeadlineExceeded


class PlannedRequest(NamedTuple):
    """A request whose body was read.

    Attributes:
        plan: What it becomes.
        end: The model that it is for.
        body_bytes: Bytes of its body.
        started_s: When it came, as `time.perf_counter` says it.
        ends_s: Its deadline, on the same clock.
    """

    plan: Plan
    end: ModelEnd
    body_bytes: int
    started_s: float
    ends_s: float

    def left_s(self) -> float:
        """Return how many seconds are left of its time; raises as `left_until` does."""
        return left_until(self.ends_s)


def left_until(ends_s: float) -> float:
    """Return how many seconds are left until a time of `time.perf_counter`.

    Raises:
        DeadlineExceeded: None are.
    """
    left_s = ends_s - time.perf_counter()
    if left_s <= 0:
        raise DeadlineExceeded
    return left_s
