"""An upstream that counts calls and tokens is asked as much as it takes, and no more: its minute is one second here."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator

import pytest

from autobatch_batcher.tuning import pacing
from tests.support.clerk import open_clerk
from tests.support.fake_upstream import tokens, vector
from tests.support.house import open_house
from tests.support.paid.minute_counts import Bucket
from tests.support.paid.paid_upstream import PaidUpstream
from tests.support.waiting import wait_until

MINUTE_S = 1.0
SIZE, HALF = 8, 4  # inputs in a call, and in a request
MINUTES = int(os.environ.get("PACING_MINUTES", "3"))

log = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def _short_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "MINUTE_MS", int(MINUTE_S * 1000))


@pytest.fixture
async def paid() -> AsyncIterator[PaidUpstream]:
    """The upstream."""
    started = PaidUpstream()
    await started.start()
    yield started
    await started.stop()


@pytest.mark.parametrize("batchers", [1, 2])
@pytest.mark.parametrize(("calls", "a_minutes_tokens"), [(20, None), (None, 1000), (30, 1000)])
async def test_a_burst_of_several_minutes_is_answered_and_no_client_reads_of_a_limit(
    redis_url: str, paid: PaidUpstream, batchers: int, calls: int | None, a_minutes_tokens: int | None
) -> None:
    paid.requests = Bucket(calls or 10**6, MINUTE_S)
    paid.tokens = Bucket(a_minutes_tokens or 10**9, MINUTE_S)
    by_tokens = (a_minutes_tokens or 10**9) // tokens("word number 1")
    a_minute = min((calls or 10**6) * SIZE, by_tokens)
    requests = [
        [f"word number {number * HALF + part}" for part in range(HALF)] for number in range(MINUTES * a_minute // HALF)
    ]
    limits = {"upstream_rpm": calls, "upstream_tpm": a_minutes_tokens, "max_batch_size": SIZE}
    async with open_house(redis_url, request_timeout_ms=60_000) as house:
        for _ in range(batchers):
            await house.add_batcher(paid.url, **limits)
        await wait_until(house.is_healthy)
        began_s = time.monotonic()
        answers = await asyncio.gather(*(house.embed(texts) for texts in requests))
        log.info(
            "took %.3f s, at best %.3f, refused %d", time.monotonic() - began_s, (MINUTES - 1) * MINUTE_S, paid.refused
        )

    assert answers == [(200, [vector(text) for text in texts]) for texts in requests]
    if calls is not None and a_minutes_tokens is None:
        assert paid.answered <= 1.05 * MINUTES * calls + batchers


async def test_counted_calls_are_full_though_no_two_requests_in_a_row_fill_one(
    redis_url: str, paid: PaidUpstream
) -> None:
    """Three inputs and five are a call; by arrival five and five come first, then three and three."""
    paid.requests = Bucket(20, MINUTE_S)
    requests = [
        [f"word number {group}.{number}.{part}" for part in range(inputs)]
        for group in range(5)
        for number, inputs in enumerate((5, 5, 5, 5, 3, 3, 3, 3))
    ]
    async with open_clerk(redis_url), open_house(redis_url, request_timeout_ms=60_000) as house:
        sent = [asyncio.create_task(house.embed(texts)) for texts in requests]
        await wait_until(lambda: house.holds(sum(map(len, requests))))
        await house.add_batcher(paid.url, upstream_rpm=20, max_batch_size=SIZE)
        answers = await asyncio.gather(*sent)

    assert answers == [(200, [vector(text) for text in texts]) for texts in requests]
    assert 20 <= paid.answered <= 22


async def test_what_the_budget_could_not_answer_in_time_is_refused_at_once(redis_url: str, paid: PaidUpstream) -> None:
    paid.requests = Bucket(10, MINUTE_S)
    async with open_house(redis_url, request_timeout_ms=60_000) as house:
        await house.add_batcher(paid.url, upstream_rpm=10, max_batch_size=1)
        await wait_until(house.is_healthy)
        patient = [asyncio.create_task(house.embed(f"patient {number}")) for number in range(70)]

        async def is_refused() -> bool:
            answer = await house.post("/embed", {"inputs": "in a hurry"}, x_request_timeout_ms="800")
            return answer.status == 429 and int(answer.headers["retry-after"]) >= 1

        await wait_until(is_refused)
        answers = await asyncio.gather(*patient)

    assert answers == [(200, [vector(f"patient {number}")]) for number in range(70)]
