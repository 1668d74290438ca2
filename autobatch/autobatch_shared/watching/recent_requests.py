"""What clients asked for in the last RECENT_S seconds, as all workers together saw it. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autobatch_shared.watching.activity import RECENT_S, WorkerActivity


@dataclass(frozen=True, slots=True)
class RecentRequests:
    """Of all workers.

    Attributes:
        ended: Requests that were answered, refused or failed.
        refused: Of these, refused with 429 or 503.
        failed: Of these, answered with another status of 500 or more.
        too_long: Of these, refused with 413.
        by_key: Requests let in, by the place of their API key.
    """

    ended: int
    refused: int
    failed: int
    too_long: int
    by_key: Counter[int]


def recent_requests(workers: Sequence[WorkerActivity]) -> RecentRequests:
    """Return what these workers have counted."""
    by_key: Counter[int] = Counter()
    for worker in workers:
        by_key.update(worker.by_key)
    answered, refused, failed, too_long = (
        sum(sum(kind[-RECENT_S:]) for kind in kinds)
        for kinds in (
            [worker.answered for worker in workers],
            [worker.refused for worker in workers],
            [worker.failed for worker in workers],
            [worker.too_long for worker in workers],
        )
    )
    return RecentRequests(answered + refused + failed + too_long, refused, failed, too_long, by_key)
