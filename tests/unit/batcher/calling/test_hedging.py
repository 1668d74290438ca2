"""A call that is late is made on another upstream, too, and the first good answer is taken."""

import asyncio

import pytest

from autobatch_batcher.calling.budget import HEDGES_KEPT_MAX
from autobatch_batcher.calling.calls import Call, call_for
from autobatch_batcher.calling.hedging import Hedging
from autobatch_batcher.dialects.base import Answer, AskedRows, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.pacing import Pacing
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.breaker import LATE_MAX
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.replica_state import ReplicaLoad
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.errors import UpstreamUnavailable
from tests.support.waiting import wait_until
from tests.unit.builders import make_job
from tests.unit.upstreams import NO_CLIENT

AT_ONCE_S, FAR_S = 0.001, 60.0


class Held(Replica):
    """Answers when it is let, with its name.

    Attributes:
        answer: Is the answer of the next calls.
        was_cancelled: Whether a call was given up.
    """

    def __init__(self, name: str, *, is_open: bool = False) -> None:
        super().__init__(f"http://{name}", NO_CLIENT, [Tei()], configured(100, 10**6), Tuner(1))
        self.is_healthy = True
        self.opened = asyncio.Event()
        if is_open:
            self.opened.set()
        self.answer: Answer | Exception = Answer(200, "", name.encode(), None)
        self.was_cancelled = False
        self.calls = 0

    async def call(self, _post: Post, _timeout_s: float, _asked: AskedRows | None = None) -> Answer:
        self.calls += 1
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def a_call() -> Call:
    return call_for([make_job("a", longest=1)])


async def answered(*upstreams: Held, late_s: float = AT_ONCE_S) -> tuple[bytes, Slot]:
    slot = Slot(upstreams[0], 1, 1, was_busy=False)
    answer = await Hedging(Pool(list(upstreams)), Metrics()).call(a_call(), slot, FAR_S, late_s)
    assert [ReplicaLoad()] * (len(upstreams) - 1) == [each.load for each in upstreams if each is not slot.upstream]
    slot.release()
    assert ReplicaLoad() == slot.upstream.load
    return answer.body, slot


async def test_a_late_call_is_not_made_again_where_calls_are_paid_for() -> None:
    slow, other = Held("slow"), Held("other", is_open=True)
    slow.pacing, other.pacing = Pacing("slow", 60, None), Pacing("other", 60, None)
    asyncio.get_running_loop().call_later(20 * AT_ONCE_S, slow.opened.set)

    assert b"slow" == (await answered(slow, other))[0]
    assert 0 == other.calls


async def test_a_call_in_time_is_made_once() -> None:
    quick, other = Held("quick", is_open=True), Held("other", is_open=True)

    assert b"quick" == (await answered(quick, other, late_s=FAR_S))[0]
    assert 0 == other.calls
    assert quick.breaker.is_quiet


async def test_one_that_hangs_is_given_up_for_the_answer_of_another() -> None:
    hung, other = Held("hung"), Held("other", is_open=True)
    body, slot = await answered(hung, other)

    assert (b"other", other, True) == (body, slot.upstream, hung.was_cancelled)
    assert not hung.breaker.is_quiet


async def test_one_that_is_answered_all_the_same_is_taken() -> None:
    slow, other = Held("slow"), Held("other")
    asking = asyncio.create_task(answered(slow, other))
    await wait_until(lambda: other.calls)
    slow.opened.set()
    body, slot = await asking

    assert (b"slow", slow, True) == (body, slot.upstream, other.was_cancelled)


@pytest.mark.parametrize("answer", [UpstreamUnavailable(), Answer(500, "", b"", None)])
async def test_a_second_call_that_fails_is_not_taken(answer: Answer | Exception) -> None:
    slow, failing = Held("slow"), Held("failing", is_open=True)
    failing.answer = answer
    asking = asyncio.create_task(answered(slow, failing))
    await wait_until(lambda: failing.calls)
    slow.opened.set()

    assert b"slow" == (await asking)[0]


async def test_second_calls_are_few() -> None:
    hung, other = Held("hung"), Held("other", is_open=True)
    hedging = Hedging(Pool([hung, other]), Metrics())

    async def called() -> None:
        slot = Slot(hung, 1, 1, was_busy=False)
        try:
            await hedging.call(a_call(), slot, FAR_S, AT_ONCE_S)
        finally:
            slot.release()  # of the other, if that has answered: it takes one call at a time

    calls = [asyncio.create_task(called()) for _ in range(20)]
    await wait_until(lambda: other.calls == int(HEDGES_KEPT_MAX))
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert other.calls == int(HEDGES_KEPT_MAX)


async def test_calls_that_are_late_in_a_row_take_the_upstream_out() -> None:
    """Whatever the clients' deadlines: with short ones it never had a timeout that counted."""
    hung, other = Held("hung"), Held("other", is_open=True)
    for number in range(LATE_MAX):
        assert hung.breaker.is_closed, number
        await answered(hung, other)

    assert not hung.breaker.is_closed
