"""What an upstream may be asked in a minute, by the claims of all batchers."""

from dataclasses import replace
from typing import Any

from autobatch_shared.contract.capacity import MinuteBudget, SaidLeft
from tests.integration.redis.queue_ends.ends import KEYS, QueueEnds, job, push
from tests.support.waiting import wait_until

HOUR_MS = 3_600_000  # a minute in which next to nothing grows
CHECK_MS = HOUR_MS / 20  # the longest wait


def budget(calls: int = 0, tokens: int = 0, *, holds_jobs: bool = False, **used: Any) -> MinuteBudget:
    return MinuteBudget("0a", calls, tokens, HOUR_MS, holds_jobs=holds_jobs, **used)


def said(most: int, least: int = -1, reset_ms: int = -1) -> MinuteBudget:
    """Return a budget of 1000 calls of which the upstream has said so much just now."""
    of = replace(budget(calls=1000), calls_said=SaidLeft(most, least, reset_ms), asked_ms=0, said_ms=0)
    return replace(of, calls_needed=0)


async def test_a_claim_needs_a_call_of_the_budget_of_all_batchers(ends: QueueEnds) -> None:
    await push(ends, 1, 2, 3)
    first = await ends.batcher("b1").claim(1, 0, budget=budget(calls=2))
    second = await ends.batcher("b2").claim(1, 0, budget=budget(calls=2))
    third = await ends.batcher("b1").claim(1, 0, budget=budget(calls=2))

    assert [job(1)] == first.fresh
    assert [job(2)] == second.fresh
    assert ([], 1) == (third.fresh, third.queued)
    assert [1, 0, 0] == [claim.calls_left for claim in (first, second, third)]
    assert (0, 0) == (first.wait_ms, second.wait_ms)
    assert third.wait_ms == CHECK_MS


async def test_a_call_that_was_granted_needs_no_other(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    await ends.batcher("b1").claim(1, 0, budget=budget(calls=1))
    assert [job(2)] == (await ends.batcher("b1").claim(1, 0, budget=budget(calls=1, calls_needed=0))).fresh


async def test_what_was_used_beyond_the_budget_is_made_good(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    claim = await ends.batcher("b1").claim(1, 0, budget=budget(calls=4, calls_used=4))

    assert ([], 0) == (claim.fresh, claim.calls_left)
    assert claim.wait_ms == CHECK_MS


async def test_a_claim_takes_as_many_jobs_as_there_are_tokens_for(ends: QueueEnds) -> None:
    """A body of eight bytes is taken for two tokens."""
    await push(ends, *range(5))
    claim = await ends.batcher("b1").claim(10, 0, budget=budget(tokens=7))
    none = await ends.batcher("b1").claim(10, 0, budget=budget(tokens=7))

    assert [job(number) for number in range(3)] == claim.fresh
    assert (1, -1, 0) == (claim.tokens_left, claim.calls_left, claim.wait_ms)
    assert ([], 2) == (none.fresh, none.queued)
    assert none.wait_ms == CHECK_MS


async def test_special_tokens_count_and_some_are_left_over(ends: QueueEnds) -> None:
    """A body of eight bytes and one input is taken for five tokens."""
    await push(ends, *range(5))
    of = replace(budget(tokens=17), tokens_an_input=3.0, tokens_kept=4)
    claim = await ends.batcher("b1").claim(10, 0, budget=of)

    assert [job(number) for number in range(2)] == claim.fresh
    assert claim.tokens_left == 17 - 2 * of.charged(1, 8)


async def test_a_job_of_more_tokens_than_a_minute_has_needs_all_of_them(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    assert [job(1)] == (await ends.batcher("b1").claim(10, 0, budget=budget(tokens=1))).fresh


async def test_a_call_is_granted_for_jobs_that_are_held_and_none_is_claimed(ends: QueueEnds) -> None:
    await push(ends, 1)
    claims = [await ends.batcher("b1").claim(0, 0, budget=budget(calls=1, holds_jobs=True)) for _ in range(2)]

    assert [(0, False), (0, True)] == [(claim.calls_left, claim.wait_ms > 0) for claim in claims]
    assert [1, 1] == [claim.queued for claim in claims]


async def test_what_the_upstream_says_is_left_counts_where_it_is_less(ends: QueueEnds) -> None:
    """It counts until the upstream says that more is left: then the others have stopped."""
    claims = [await ends.batcher("b1").claim(0, 0, budget=of) for of in (said(100), said(900), said(500, 400))]

    assert [100, 100, 400] == [claim.calls_left for claim in claims]


async def test_what_was_used_after_a_call_was_sent_is_not_left_though_its_answer_says_so(ends: QueueEnds) -> None:
    await ends.batcher("b1").claim(0, 0, budget=said(500))
    of = replace(said(900, 900), calls_used=200, asked_ms=60_000, said_ms=0)
    claim = await ends.batcher("b1").claim(0, 0, budget=of)

    assert claim.calls_left == 900 - 200 + 1, "all but itself"


async def test_what_the_upstream_has_forgotten_at_once_is_forgotten(ends: QueueEnds) -> None:
    """Its minute has ended; a little is what two counts differ by."""
    await ends.batcher("b1").claim(0, 0, budget=budget(calls=1000, calls_used=900))
    little = await ends.batcher("b1").claim(0, 0, budget=replace(said(200, 200), asked_ms=-HOUR_MS))
    much = await ends.batcher("b1").claim(0, 0, budget=replace(said(800, 800), asked_ms=-HOUR_MS))

    assert [100, 800] == [claim.calls_left for claim in (little, much)]


async def test_one_call_finds_out_whether_the_upstream_has_begun_to_count_anew(ends: QueueEnds) -> None:
    spent = MinuteBudget("0a", 1000, 0, 600_000, holds_jobs=True)
    told = replace(spent, calls_used=1000, calls_said=SaidLeft(0, 0, 10), asked_ms=0, said_ms=0)
    assert (await ends.batcher("b1").claim(0, 0, budget=told)).wait_ms > 0

    async def is_granted() -> bool:
        return (await ends.batcher("b1").claim(0, 0, budget=spent)).wait_ms == 0

    await wait_until(is_granted)
    assert not await is_granted()


async def test_refusals_that_nothing_explains_make_calls_come_more_evenly(ends: QueueEnds) -> None:
    """Of 60 calls 21 were made at once, and one of them was refused: the upstream takes no more than 20 in so short a time."""
    await ends.batcher("b1").claim(0, 0, budget=budget(calls=60, calls_used=21))
    of = replace(budget(calls=60), refused_ms=1000, refused=1)
    claims = [await ends.batcher("b1").claim(0, 0, budget=of) for _ in range(2)]

    assert [10 - 21, 10 - 21] == [each.calls_left for each in claims], (
        "half of what it took, once for all that it refused"
    )


async def test_the_tokens_of_refused_calls_come_before_those_of_other_jobs(ends: QueueEnds) -> None:
    await push(ends, 1)
    of = replace(budget(tokens=10), holds_jobs=True)
    first = await ends.batcher("b1").claim(1, 0, budget=replace(of, tokens_owed=9))
    second = await ends.batcher("b1").claim(1, 0, budget=replace(of, tokens_owed=9))

    assert ([], 1, 0) == (first.fresh, first.tokens_left, first.wait_ms)
    assert ([], 1) == (second.fresh, second.tokens_left)
    assert second.wait_ms > 0


async def test_a_budget_ends_by_itself_and_fills_with_time(ends: QueueEnds) -> None:
    await push(ends, 1, 2)
    spent = MinuteBudget("0a", 1, 0, 100)
    await ends.batcher("b1").claim(1, 0, budget=spent)
    life_ms = await ends.redis.pttl(KEYS.pace("0a"))

    assert life_ms <= 200
    assert life_ms != -1, "no time to live"  # -2: it has ended already
    await wait_until(lambda: gives(ends, spent))


async def gives(ends: QueueEnds, of: MinuteBudget) -> bool:
    return bool((await ends.batcher("b1").claim(1, 0, budget=of)).fresh)
