"""What a client is told about where its time went."""

from autobatch_proxy.http.timings import slowest_timings, timings_of
from autobatch_shared.contract.frames import ReplyHeader


def reply(queue_us: int, upstream_us: int, batch: int) -> ReplyHeader:
    return ReplyHeader("w.1", 200, queue_us=queue_us, upstream_us=upstream_us, batch=batch)


def test_microseconds_are_told_as_milliseconds() -> None:
    assert timings_of(reply(1234, 40_250, 17)) == {
        "Server-Timing": "queue;dur=1.2, upstream;dur=40.2",
        "X-Batch-Size": "17",
    }


def test_no_call_no_headers() -> None:
    assert timings_of(reply(1234, 0, 0)) == {}
    assert slowest_timings([reply(1234, 0, 0), reply(5000, 0, 0)]) == {}


def test_of_several_jobs_the_slowest_parts_and_the_largest_batch_are_told() -> None:
    replies = [reply(1000, 9000, 3), reply(5000, 2000, 32), reply(0, 0, 0)]

    assert slowest_timings(replies) == {"Server-Timing": "queue;dur=5.0, upstream;dur=9.0", "X-Batch-Size": "32"}
