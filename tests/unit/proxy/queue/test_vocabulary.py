"""Ids of a foreign vocabulary: refused where one of them is none of the model's, and asked for as seldom as can be."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.queue.vocabulary import Vocabulary
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.contract.errors import DeadlineExceeded, ForeignTokenIds, UpstreamUnavailable
from autobatch_shared.contract.frames import ReplyHeader
from autobatch_shared.contract.models import ServedModel


class UpstreamOfAHundredIds:
    """Knows ids below a hundred."""

    def __init__(self, status: int = 200, fault: str = "") -> None:
        self.asked: list[int] = []
        self.opened = asyncio.Event()
        self.opened.set()
        self._head = ReplyHeader("", status, fault)

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        (job,) = plan.jobs
        assert (plan.route, job.kind, timeout_s) == ("/decode", "verbatim", 3)
        ((number,),) = json.loads(job.body)["ids"]
        self.asked.append(number)
        if number > 50:  # the larger ones are answered sooner
            await asyncio.sleep(0)
        else:
            await self.opened.wait()
        return [(self._head, b'["x"]' if number < 100 else b' [""]\n')]


class Checks:
    """The client before that upstream."""

    def __init__(self, upstream: UpstreamOfAHundredIds, size: int | None = None) -> None:
        watcher: Any = SimpleNamespace(model=ServedModel("0000000a", "m", "{}"))
        self.watcher = watcher
        self._vocabulary = Vocabulary(upstream, size, watcher)

    async def check(self, largest_id: int) -> None:
        await self._vocabulary.check(largest_id, 3)


async def test_an_id_beyond_the_vocabulary_is_refused_with_a_hint() -> None:
    with pytest.raises(ForeignTokenIds, match="check_embedding_ctx_length=False"):
        await Checks(UpstreamOfAHundredIds()).check(100)


async def test_what_was_found_below_is_not_asked_for_again() -> None:
    upstream = UpstreamOfAHundredIds()
    checks = Checks(upstream)

    for number in (9, 3, 9, 20, 10):
        await checks.check(number)

    assert upstream.asked == [9, 20]


async def test_another_model_has_other_ids() -> None:
    upstream = UpstreamOfAHundredIds()
    checks = Checks(upstream)
    await checks.check(9)
    checks.watcher.model = ServedModel("0000000b", "n", "{}")

    await checks.check(9)

    assert upstream.asked == [9, 9]


async def test_of_two_that_ask_at_once_the_larger_answer_stays() -> None:
    upstream = UpstreamOfAHundredIds()
    upstream.opened.clear()
    checks = Checks(upstream)
    small, large = asyncio.create_task(checks.check(9)), asyncio.create_task(checks.check(60))
    await large
    upstream.opened.set()
    await small

    await checks.check(60)

    assert sorted(upstream.asked) == [9, 60]


async def test_with_a_tokenizer_the_upstream_is_not_asked() -> None:
    upstream = UpstreamOfAHundredIds()
    checks = Checks(upstream, size=100)

    await checks.check(99)
    with pytest.raises(ForeignTokenIds):
        await checks.check(100)

    assert upstream.asked == []


async def test_an_upstream_that_cannot_tell_is_asked_again_next_time() -> None:
    upstream = UpstreamOfAHundredIds(404)
    checks = Checks(upstream)

    await checks.check(100)
    await checks.check(100)

    assert upstream.asked == [100, 100]


@pytest.mark.parametrize(
    ("status", "fault", "told"),
    [
        (0, "upstream_unavailable", UpstreamUnavailable),
        (0, "deadline_exceeded", DeadlineExceeded),
        (500, "", UpstreamUnavailable),
    ],
)
async def test_ids_that_could_not_be_checked_go_no_further(status: int, fault: str, told: type[Exception]) -> None:
    """The upstream may be back for the request, and die of it."""
    with pytest.raises(told):
        await Checks(UpstreamOfAHundredIds(status, fault)).check(100)
