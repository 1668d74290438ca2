"""A request that shares no call is counted by its reason, and many of them are a line in the log."""

import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from autobatch_proxy.requests import alone
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import House, ready_house
from tests.support.waiting import wait_until


async def unbatched(house: House) -> dict[tuple[str, str], float]:
    text = (await house.get("/metrics")).body.decode()
    return {
        (sample.labels["route"], sample.labels["reason"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "autobatch_unbatched_requests_total"
    }


async def test_each_is_counted_by_its_route_and_reason(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.post("/v1/embeddings", {"input": "a", "model": "text-embedding-ada-002"})
        assert await unbatched(house) == {}
        await house.post("/embed", {"inputs": "a", "normalize": None})
        await house.post("/embed", {"inputs": ["a", ""]})
        await house.post("/rerank", {"query": "a", "texts": ["b"]})
        await house.post("/rerank", {"query": "a", "texts": ["b"]})
        assert await unbatched(house) == {
            ("/embed", "fields"): 1,
            ("/embed", "empty_text"): 1,
            ("/rerank", "route"): 2,
        }


async def test_many_of_them_are_warned_of(
    redis_url: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alone, "WINDOW_S", 0.0)
    monkeypatch.setattr(alone, "REQUESTS_MIN", 1)
    with caplog.at_level(logging.WARNING):
        async with ready_house(redis_url, upstream.url) as house:
            await house.post("/embed", {"inputs": "a", "normalize": None})
            await wait_until(lambda: any(record.message == "requests_not_batched" for record in caplog.records))
    (record,) = [record for record in caplog.records if record.message == "requests_not_batched"]
    assert (vars(record)["share"], vars(record)["reasons"]) == (1, {"fields": 1})
