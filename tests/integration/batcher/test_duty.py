"""Two batchers before one upstream: one calls it, and the other takes over at once when that stops, or later with what it had learnt."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from autobatch_batcher.tuning import duty
from autobatch_shared.contract.status import BatcherStatus, LearntCalls, RememberedCalls, decode_remembered, decoded
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, open_house
from tests.support.waiting import wait_until


class DutyReports:
    """What the batchers say of themselves."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def look(self) -> dict[str, BatcherStatus]:
        found = await self._redis.hgetall("{house}:batchers")
        return {each.id: each for each in decoded([each for each in found.values() if isinstance(each, bytes)])}

    async def kept(self, url: str) -> RememberedCalls | None:
        """What Redis has kept of an upstream."""
        value = await self._redis.get("{house}:learnt:" + url)
        return decode_remembered(value) if isinstance(value, bytes) else None

    async def on_duty(self) -> list[str]:
        """The batchers that call their upstream, and know that it is well."""
        return sorted(
            name for name, each in (await self.look()).items() if is_ready(each) and each.upstreams[0].is_on_duty
        )


@pytest.fixture
async def reports(redis_url: str) -> AsyncIterator[DutyReports]:
    async with Redis.from_url(redis_url) as redis:
        yield DutyReports(redis)


def is_ready(report: BatcherStatus) -> bool:
    return any(upstream.may_be_called for upstream in report.upstreams)


async def embeds(house: House, count: int, name: str) -> None:
    texts = [f"{name} {number}" for number in range(count)]
    assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)


async def test_one_of_two_calls_and_the_other_knows_what_it_learns(
    redis_url: str, upstream: FakeUpstream, reports: DutyReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty, "LATE_MS", 60_000)  # on a busy machine a report may be late, and the other one takes over
    monkeypatch.setattr(duty, "CPU_MAX", 100.0)  # each takes the whole test's processor time for its own
    async with open_house(redis_url) as house:
        for _ in range(2):
            await house.add_batcher(upstream.url)

        async def one_is() -> bool:
            """Until both know that the upstream is well, only one may say that it is on duty."""
            return await _are(2, reports) and 1 == len(await reports.on_duty())

        await wait_until(one_is)
        await wait_until(house.is_healthy)
        (first,) = await reports.on_duty()
        for number in range(20):
            await embeds(house, 4, str(number))

        async def have_learnt() -> bool:
            """The other one has called nothing."""
            learnt = {name: each.upstreams[0].learnt for name, each in (await reports.look()).items()}
            return None not in learnt.values()

        await wait_until(have_learnt)
        assert [first] == await reports.on_duty()


async def test_when_the_one_on_duty_stops_what_comes_is_answered_by_the_other(
    redis_url: str, upstream: FakeUpstream, reports: DutyReports
) -> None:
    async with open_house(redis_url) as house:
        batchers = [await house.add_batcher(upstream.url) for _ in range(2)]
        await wait_until(lambda: _are(2, reports))
        await wait_until(house.is_healthy)
        asked = [asyncio.create_task(embeds(house, 1, f"meanwhile {number}")) for number in range(50)]

        await batchers[0].stop()
        await embeds(house, 5, "after one")
        await house.add_batcher(upstream.url)
        await wait_until(lambda: _are(2, reports))
        await batchers[1].stop()
        await embeds(house, 5, "after both")
        await asyncio.gather(*asked)


async def _are(count: int, reports: DutyReports) -> bool:
    return count == len([each for each in (await reports.look()).values() if is_ready(each)])


async def test_jobs_of_a_batcher_that_lost_its_upstream_are_answered_by_one_with_another_upstream(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream, reports: DutyReports
) -> None:
    """The first would wait longer than the clients do."""
    texts = [f"text {number}" for number in range(20)]
    async with open_house(redis_url) as house:
        await house.add_batcher(upstream.url, upstream_patience_ms=600_000)
        await wait_until(house.is_healthy)
        await upstream.stop()
        answers = asyncio.gather(*(house.embed(text) for text in texts))

        async def holds_some() -> bool:
            return any(each.held > 0 for each in (await reports.look()).values())

        await wait_until(holds_some)
        await house.add_batcher(other.url)

        assert [(200, [vector(text)]) for text in texts] == await answers


@pytest.mark.usefixtures("_quick_probes")
async def test_the_one_that_stands_by_finds_out_that_the_upstream_is_well_again(
    redis_url: str, upstream: FakeUpstream, reports: DutyReports
) -> None:
    """It calls nothing by itself, and both had taken the upstream out."""
    async with open_house(redis_url) as house:
        for _ in range(2):
            await house.add_batcher(upstream.url, upstream_patience_ms=0)
        await wait_until(lambda: _are(2, reports))
        await wait_until(house.is_healthy)
        upstream.refuses = {"/embed": 503}

        async def are_out() -> bool:
            await asyncio.gather(*[house.post("/embed", {"inputs": str(number)}) for number in range(16)])
            return await _are(0, reports)

        await wait_until(are_out)
        upstream.refuses = {}

        async def is_answered() -> bool:
            return (await house.post("/embed", {"inputs": "one"})).status == 200

        await wait_until(is_answered)

        await wait_until(lambda: _are(2, reports))  # without any further request


@pytest.mark.usefixtures("_quick_probes")
@pytest.mark.parametrize("status", [401, 500])
async def test_what_one_batcher_finds_failing_the_others_try_before_they_say_that_it_is_well(
    redis_url: str, upstream: FakeUpstream, reports: DutyReports, status: int
) -> None:
    """Its probes go well all the time, and the jobs that the first one has it keeps."""
    async with open_house(redis_url) as house:
        for _ in range(3):
            await house.add_batcher(upstream.url, upstream_patience_ms=600_000)
        await wait_until(lambda: _are(3, reports))
        await wait_until(house.is_healthy)
        upstream.refuses = {"/embed": status}
        asked = [asyncio.create_task(house.embed(f"text {number}")) for number in range(8)]

        await wait_until(lambda: _are(0, reports))
        upstream.refuses = {}

        await wait_until(lambda: _are(3, reports))
        await asyncio.gather(*asked)


@pytest.mark.usefixtures("_quick_probes")
async def test_that_an_upstream_which_failed_is_well_again_is_found_out_without_a_request(
    redis_url: str, upstream: FakeUpstream, reports: DutyReports
) -> None:
    async with open_house(redis_url) as house:
        await house.add_batcher(upstream.url, upstream_patience_ms=0)
        await wait_until(house.is_healthy)
        upstream.refuses = {"/embed": 503}

        async def is_out() -> bool:
            await house.post("/embed", {"inputs": "one"})
            return await _are(0, reports)

        await wait_until(is_out)
        upstream.refuses = {}

        await wait_until(lambda: _are(1, reports))


async def one_learns_and_stops(house: House, upstream: FakeUpstream) -> None:
    first = await house.add_batcher(upstream.url)
    await wait_until(house.is_healthy)
    for number in range(20):
        await embeds(house, 4, str(number))
    await first.stop()


async def test_a_batcher_begins_with_what_the_one_before_it_had_learnt(
    redis_url: str, upstream: FakeUpstream, reports: DutyReports
) -> None:
    async with open_house(redis_url) as house:
        await one_learns_and_stops(house, upstream)
        assert {} == await reports.look()
        kept = await reports.kept(upstream.url)
        assert kept is not None

        await house.add_batcher(upstream.url)

        await wait_until(lambda: _knows(kept.learnt, reports))  # before any call


async def test_what_was_learnt_of_another_model_is_dropped_and_logged(
    redis_url: str, upstream: FakeUpstream, reports: DutyReports, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_house(redis_url) as house:
        await one_learns_and_stops(house, upstream)
        assert await reports.kept(upstream.url) is not None
        upstream.info = {"model_id": "another"}

        await house.add_batcher(upstream.url, model_change_after_ms=1)

        await wait_until(house.is_healthy)
        await embeds(house, 1, "after")
        said = [(each.message, vars(each).get("why")) for each in caplog.records if "memory" in each.message]
        assert [("upstream_memory_dropped", "it serves another model")] == said


async def _knows(learnt: LearntCalls, reports: DutyReports) -> bool:
    found = [each.upstreams[0].learnt for each in (await reports.look()).values() if each.upstreams]
    calls = [(each.calls_seen, each.flat_s, each.per_unit_s) for each in found if each is not None]
    return calls == [(learnt.calls_seen, learnt.flat_s, learnt.per_unit_s)]
