"""What a worker knows of one request when its replies have come: for the log of slow requests, and for its span."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.requests.plan import Plan


class Account(msgspec.Struct, frozen=True):
    """Of one request; of several replies it has the times of the slowest. Nothing in it was written by a client.

    Attributes:
        route: The path of its jobs at the upstream.
        model: The name of the model that computed it, or else of the served one; empty while that is unknown.
        jobs: Number of its jobs.
        inputs: Number of its inputs.
        body_bytes: Bytes of its body.
        queue_us: Microseconds that a job waited for its calls.
        upstream_us: Microseconds that these took, those that failed included.
        upstream: The URL of the upstream that was called; empty where none was.
        batch: Number of inputs in the last call; 0 where there was none.
        tokens: Number of tokens of all inputs; 0 where they were not counted.
    """

    route: str
    model: str
    jobs: int
    inputs: int
    body_bytes: int
    queue_us: int = 0
    upstream_us: int = 0
    upstream: str = ""
    batch: int = 0
    tokens: int = 0


ACCOUNT = web.RequestKey("account", Account)
TRACE: web.RequestKey[dict[str, str]] = web.RequestKey("trace", dict)  # the headers that name the request's span


def account_of(plan: Plan, replies: Sequence[Reply], body_bytes: int, watcher: FleetWatcher) -> Account:
    """Return the account of a request.

    Args:
        plan: What it became.
        replies: Of its jobs; none where they did not come.
        body_bytes: Bytes of its body.
        watcher: Knows the models by their fingerprints.
    """
    served = watcher.allowed.served_model
    inputs = sum([planned.n for planned in plan.jobs])
    headers = [header for header, _ in replies]
    if not headers:
        return Account(plan.route, served, len(plan.jobs), inputs, body_bytes)
    slowest = max(headers, key=lambda header: header.queue_us + header.upstream_us)
    return Account(
        plan.route,
        watcher.names.get(slowest.model) or served,
        len(plan.jobs),
        inputs,
        body_bytes,
        slowest.queue_us,
        slowest.upstream_us,
        slowest.upstream,
        slowest.batch,
        plan.tokens or sum([sum(header.tokens) for header in headers]),
    )
