"""Headers that tell a client where its time went: in the queue, in the upstream's call, and with how many companions.

    server-timing: queue;dur=1.2, upstream;dur=4.3
    x-batch-size: 17

Source of the first: https://www.w3.org/TR/server-timing/, durations in milliseconds.
"""

from collections.abc import Sequence

from autobatch_shared.contract.frames import ReplyHeader

_SPENT = b"queue;dur=%.1f, upstream;dur=%.1f"
_LINES = b"Server-Timing: " + _SPENT + b"\r\nX-Batch-Size: %d\r\n"


def timings_of(reply: ReplyHeader) -> dict[str, str]:
    """Return the headers of the call that answered one job; none when no call was made."""
    return _headers(reply.queue_us, reply.upstream_us, reply.batch)


def timing_lines(reply: ReplyHeader) -> bytes:
    """Return the same as lines of an HTTP head."""
    if not reply.batch:
        return b""
    return _LINES % (reply.queue_us / 1000, reply.upstream_us / 1000, reply.batch)


def slowest_timings(replies: Sequence[ReplyHeader]) -> dict[str, str]:
    """Return the headers of a request of several jobs: the slowest of each part, and the largest batch."""
    return _headers(
        max(reply.queue_us for reply in replies),
        max(reply.upstream_us for reply in replies),
        max(reply.batch for reply in replies),
    )


def _headers(queue_us: int, upstream_us: int, batch: int) -> dict[str, str]:
    if not batch:
        return {}
    spent = _SPENT % (queue_us / 1000, upstream_us / 1000)
    return {"Server-Timing": spent.decode(), "X-Batch-Size": str(batch)}
