"""Several upstreams: a bad one gets no calls and is tried again, and no client is affected."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from autobatch_batcher.upstreams.breaker import FAILURES_MAX
from tests.support.fake_upstream import FakeUpstream, tei_error, vector
from tests.support.house import ready_house
from tests.support.waiting import wait_until


@pytest.fixture
async def other() -> AsyncIterator[FakeUpstream]:
    """A second upstream."""
    started = FakeUpstream()
    await started.start()
    yield started
    await started.stop()


async def failing(_texts: list[str]) -> web.StreamResponse:
    """What a replica does whose health is green and whose model is gone."""
    return tei_error(500, "out of memory", "Backend")


async def test_work_goes_to_both(redis_url: str, upstream: FakeUpstream, other: FakeUpstream) -> None:
    texts = [f"text {number}" for number in range(300)]
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        await wait_until(lambda: both_told(upstream, other))
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
    assert upstream.calls
    assert other.calls


def both_told(*upstreams: FakeUpstream) -> bool:
    return all(upstream.info_asked for upstream in upstreams)


async def test_a_replica_that_only_fails_is_taken_out_and_comes_back(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    other.behave = failing
    async with ready_house(redis_url, f"{upstream.url},{other.url}", upstream_attempts=3) as house:
        for number in range(60):
            assert (200, [vector(f"text {number}")]) == await house.embed(f"text {number}")
        assert FAILURES_MAX <= len(other.calls) < 20  # and a few trials; half of all would be 30 and more
        other.behave = None
        other.calls.clear()

        async def is_used_again() -> bool:
            assert (await house.embed("again"))[0] == 200
            return len(other.calls) > 1

        await wait_until(is_used_again, 20)


async def test_each_replica_gets_what_it_takes(redis_url: str, upstream: FakeUpstream, other: FakeUpstream) -> None:
    upstream.info = {"model_id": "fake", "max_client_batch_size": 8, "max_concurrent_requests": 512}
    texts = [f"text {number}" for number in range(400)]
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        await wait_until(lambda: both_told(upstream, other))
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
    assert max(map(len, upstream.calls)) <= 8
    assert max(map(len, other.calls)) > 8
