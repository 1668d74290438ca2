"""One reply to each job of a plan, in order, whichever of its rows were known."""

import json
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from autobatch_proxy.queue.cached_client import CachedClient
from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.errors import UpstreamProtocolError
from autobatch_shared.contract.frames import ReplyHeader
from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.models import ServedModel
from autobatch_shared.measuring.count import Count
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.result_cache import CacheCounts, ResultCache
from tests.support.waiting import wait_until

MODEL, OTHER_MODEL = "0000000a", "0000000b"
MEASURES = {"x-compute-type": "cpu", "x-compute-time": "5"}


class LengthClient:
    """Answers with the length of each text, as its vector and as its tokens."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.bad: dict[str, Reply] = {}
        self.model = MODEL

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        assert timeout_s > 0
        return [self._reply(plan, json.loads(job.body)) for job in plan.jobs]

    def _reply(self, plan: Plan, texts: list[str]) -> Reply:
        self.asked.append(texts)
        bad = [self.bad[text] for text in texts if text in self.bad]
        if bad:
            return bad[0]
        lengths = [len(text) for text in texts]
        tokens = lengths if plan.wants_each else [sum(lengths)]
        counted = tokens if plan.are_counted else []
        header = ReplyHeader("w.1", 200, tokens=counted, batch=9, measures=MEASURES, model=self.model)
        return header, json.dumps([[length] for length in lengths]).encode()


class Cached:
    """A client with a cache before it."""

    def __init__(self, link: RedisLink) -> None:
        self.inner = LengthClient()
        self.counts = CacheCounts(*(Count() for _ in range(5)))
        cache = ResultCache(link, Keys("house"), self.counts, ttl_s=60, bytes_max=1_000_000)
        watcher: Any = SimpleNamespace(model=ServedModel(MODEL, "m", "{}"))
        self._client = CachedClient(self.inner, cache, watcher)

    async def ask(self, *jobs: Sequence[str], are_counted: bool = False) -> list[Reply]:
        planned = [PlannedJob(len(job), "merge", json.dumps(list(job)).encode()) for job in jobs]
        return await self._client.ask(Plan(planned, "/embed", are_counted=are_counted), 5)

    async def know(self, *texts: str, are_counted: bool = False) -> None:
        """Ask for texts until the cache has them."""
        for text in texts:
            await self.ask([text], are_counted=are_counted)

        async def are_known() -> bool:
            self.inner.asked.clear()
            await self.ask(texts, are_counted=are_counted)
            return self.inner.asked == []

        if texts:
            await wait_until(are_known)


@pytest.fixture
async def cached(redis_url: str) -> AsyncIterator[Cached]:
    link = RedisLink(Master.from_url(redis_url, Keys("house")), "cache")
    link.start()
    assert await link.wait_connected(60)
    found = Cached(link)
    yield found
    await found._client.close()
    await link.close()


@pytest.mark.parametrize("are_counted", [False, True])
@pytest.mark.parametrize(
    "known", [(), ("a",), ("ccc",), ("bb", "dddd"), ("a", "bb", "ccc"), ("a", "bb", "ccc", "dddd")]
)
async def test_known_and_computed_rows_of_a_job_are_one_reply(
    cached: Cached, known: tuple[str, ...], *, are_counted: bool
) -> None:
    await cached.know(*known, are_counted=are_counted)

    replies = await cached.ask(["a", "bb", "ccc"], ["dddd"], are_counted=are_counted)

    assert [[[1], [2], [3]], [[4]]] == [json.loads(body) for _, body in replies]
    assert [200, 200] == [header.status for header, _ in replies]
    assert [6 * are_counted, 4 * are_counted] == [sum(header.tokens) for header, _ in replies]
    assert {"a", "bb", "ccc", "dddd"} - {*known} == {text for job in cached.inner.asked for text in job}


async def test_of_a_job_that_was_partly_known_the_cost_of_its_call_is_not_reported(cached: Cached) -> None:
    await cached.know("a")
    ((whole, _),) = await cached.ask(["bb", "ccc"])
    ((partly, _),) = await cached.ask(["a", "dddd"])
    assert (whole.measures, partly.measures, partly.batch) == (MEASURES, {}, 9)


@pytest.mark.parametrize(
    "bad", [(ReplyHeader("w.1", 422), b"{}"), (ReplyHeader("w.1", 0, "upstream_timeout"), b"slow")]
)
async def test_a_job_of_which_a_part_failed_has_failed(cached: Cached, bad: Reply) -> None:
    await cached.know("a")
    cached.inner.bad["bb"] = bad

    failed, good = await cached.ask(["a", "bb"], ["ccc"])

    assert (failed, json.loads(good[1])) == (bad, [[3]])


@pytest.mark.parametrize("body", [b"[]", b"[[1],[2]]", b"{}"])
async def test_another_number_of_rows_than_were_asked_for_is_the_upstreams_fault(cached: Cached, body: bytes) -> None:
    await cached.know("a")
    cached.inner.bad["bb"] = (ReplyHeader("w.1", 200, batch=3, model=MODEL), body)

    ((header, _),) = await cached.ask(["a", "bb"])

    assert (header.fault, header.batch) == (UpstreamProtocolError.code, 3)


async def test_a_row_that_another_model_computed_is_not_put_beside_a_known_one(cached: Cached) -> None:
    """The request is asked for again whole; and nothing of it is kept under the name of the model before."""
    await cached.know("a")
    cached.inner.model = OTHER_MODEL

    ((header, body),) = await cached.ask(["a", "bb"])

    assert (header.model, json.loads(body)) == (OTHER_MODEL, [[1], [2]])
    assert cached.inner.asked == [["bb"], ["a", "bb"]]
    cached.inner.model = MODEL
    cached.inner.asked.clear()
    await cached.ask(["bb"])
    assert cached.inner.asked == [["bb"]]


async def test_a_known_row_says_which_model_computed_it(cached: Cached) -> None:
    await cached.know("a")

    ((header, _),) = await cached.ask(["a"])

    assert header.model == MODEL
