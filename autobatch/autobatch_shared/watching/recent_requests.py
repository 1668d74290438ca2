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
        too_long: Of these, refused with 413.
        by_key: Requests let in, by the place of their API key.
    """

    ended: int
    too_long: int
    by_key: Counter[int]


def recent_requests(workers: Sequence[WorkerActivity]) -> RecentRequests:
    """Return what these workers have counted."""
    by_key: Counter[int] = Counter()
    for worker in workers:
        by_key.update(worker.by_key)
    too_long = sum(sum(worker.too_long[-RECENT_S:]) for worker in workers)
    others = sum(
        sum(kind[-RECENT_S:]) for worker in workers for kind in (worker.answered, worker.refused, worker.failed)
    )
    return RecentRequests(others + too_long, too_long, by_key)
