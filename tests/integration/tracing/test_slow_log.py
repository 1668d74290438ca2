"""A slow request has a line that says where its time went, and who it was; lines of failures say who, too."""

import asyncio
from typing import Any

import pytest

from tests.support.fake_upstream import FakeUpstream, Gate
from tests.support.house import ready_house
from tests.support.waiting import wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [record.__dict__ for record in caplog.records if record.getMessage() == event]


async def test_a_slow_request_has_one_line_that_says_where_its_time_went_and_no_text(
    redis_url: str, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"slow_ms": 1}) as house:
        await wait_until(house.knows_the_model)
        upstream.behave = gate = Gate()
        asking = asyncio.create_task(
            house.post("/embed", {"inputs": ["a secret", "b"]}, x_request_id="r1", traceparent=TRACEPARENT)
        )
        await wait_until(lambda: upstream.calls)
        gate.opened.set()
        answer = await asking

    (line,) = lines(caplog, "request_slow")
    expected = {"route": "/embed", "status": 200, "inputs": 2, "jobs": 1, "batch_inputs": 2, "model": "fake"}
    assert answer.status == 200
    assert line.items() >= expected.items()
    assert line.items() >= {"request_id": "r1", "trace_id": TRACE, "upstream": upstream.url, "unlogged": 0}.items()
    assert line["body_bytes"] == len(b'{"inputs":["a secret","b"]}')
    assert line["total_ms"] == pytest.approx(line["queue_ms"] + line["upstream_ms"] + line["own_ms"], abs=0.3)
    assert "secret" not in str(line)


async def test_a_request_whose_deadline_expires_or_whose_client_leaves_is_slow_too(
    redis_url: str, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"slow_ms": 1}) as house:
        upstream.behave = gate = Gate()
        await house.post("/embed", {"inputs": "late"}, x_request_timeout_ms="50", x_request_id="late")
        leaving = asyncio.create_task(house.post("/embed", {"inputs": "left"}, x_request_id="left"))
        await wait_until(lambda: house.holds(1))
        leaving.cancel()
        await wait_until(lambda: len(lines(caplog, "request_slow")) == 2)
        gate.opened.set()

    assert [("late", 504, 1), ("left", 499, 1)] == [
        (line["request_id"], line["status"], line["inputs"]) for line in lines(caplog, "request_slow")
    ]


async def test_a_slow_request_that_the_upstream_did_not_answer_in_time_says_where_its_time_went(
    redis_url: str, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.behave = gate = Gate()
    async with ready_house(redis_url, upstream.url, proxy={"slow_ms": 1}, upstream_timeout_ms=50) as house:
        answer = await house.post("/embed", {"inputs": "late"})
        gate.opened.set()

    (line,) = lines(caplog, "request_slow")
    assert (504, 1) == (line["status"], line["batch_inputs"])
    assert line["total_ms"] == pytest.approx(line["queue_ms"] + line["upstream_ms"] + line["own_ms"], abs=0.3)
    assert "upstream;dur=" in answer.headers["server-timing"]


async def test_by_default_a_quick_request_has_no_line(
    redis_url: str, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed("quick")

    assert lines(caplog, "request_slow") == []


async def test_a_batchers_line_of_a_failed_call_names_the_request(
    redis_url: str, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        upstream.refuses["/embed"] = 500
        await house.post("/embed", {"inputs": "text"}, x_request_id="r1", x_request_timeout_ms="2000")

    assert {("r1",)} == {tuple(line["request_ids"]) for line in lines(caplog, "upstream_call_failed")}
