"""The replies to a request of several jobs, all of one model: rows of two are no answer.

The namespace's model may change between two jobs of a request. Then all of it is asked for again, once.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from autobatch_proxy.queue.client import JobClient
from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.contract.errors import DeadlineExceeded, UpstreamChanged

CHANGED = "The model changed while the request was computed"


class Clients(NamedTuple):
    """Who is asked for the replies to a plan's jobs.

    Attributes:
        usual: Is asked first; it may have some in its cache.
        uncached: Is asked where rows that were computed before are no use.
    """

    usual: JobClient
    uncached: JobClient


async def ask_one_model(clients: Clients, plan: Plan, timeout_s: float) -> list[Reply]:
    """Return a reply to each job of a plan, in order.

    Args:
        clients: Are asked, the second only if need be.
        plan: What is asked for.
        timeout_s: Seconds for all of it.

    Raises:
        UpstreamChanged: Two models answered, twice.
        QueueFull, QueueUnavailable, DeadlineExceeded: As the clients do.
    """
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + timeout_s
    replies = await clients.usual.ask(plan, timeout_s)
    if is_of_one_model(replies):
        return replies
    left_s = ends_s - loop.time()
    if left_s <= 0:
        raise DeadlineExceeded
    replies = await clients.uncached.ask(plan, left_s)
    if not is_of_one_model(replies):
        raise UpstreamChanged(CHANGED)
    return replies


def is_of_one_model(replies: Iterable[Reply]) -> bool:
    """Whether no two of them say that different models computed them."""
    return len({header.model for header, _ in replies if header.model}) < 2
