"""Ids of a foreign vocabulary: refused where one of them is none of the model's, and asked for as seldom as can be."""

import asyncio
import json
from typing import Any

import pytest

from autobatch_proxy.queue.client import Reply
from autobatch_proxy.queue.vocabulary import Vocabulary
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.contract.errors import ForeignTokenIds
from autobatch_shared.contract.frames import ReplyHeader


class Desk:
    """An upstream that knows ids below a hundred."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[int] = []
        self.opened = asyncio.Event()
        self.opened.set()
        self._status = status

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        (piece,) = plan.pieces
        assert (plan.route, piece.kind, timeout_s) == ("/decode", "verbatim", 3)
        ((number,),) = json.loads(piece.body)["ids"]
        self.asked.append(number)
        if number > 50:  # the larger ones are answered sooner
            await asyncio.sleep(0)
        else:
            await self.opened.wait()
        return [(ReplyHeader("", self._status), b'["x"]' if number < 100 else b' [""]\n')]


def vocabulary(desk: Any, size: int | None = None, model: list[str] | None = None) -> Vocabulary:
    return Vocabulary(desk, size, lambda: model[-1] if model else "m")


async def test_an_id_beyond_the_vocabulary_is_refused_with_a_hint() -> None:
    with pytest.raises(ForeignTokenIds, match="check_embedding_ctx_length=False"):
        await vocabulary(Desk()).check(100, 3)


async def test_what_was_found_below_is_not_asked_for_again() -> None:
    desk = Desk()
    checks = vocabulary(desk)

    for number in (9, 3, 9, 20, 10):
        await checks.check(number, 3)

    assert desk.asked == [9, 20]


async def test_another_model_has_other_ids() -> None:
    desk, model = Desk(), ["m"]
    checks = vocabulary(desk, model=model)
    await checks.check(9, 3)
    model.append("n")

    await checks.check(9, 3)

    assert desk.asked == [9, 9]


async def test_of_two_that_ask_at_once_the_larger_answer_stays() -> None:
    desk = Desk()
    desk.opened.clear()
    checks = vocabulary(desk)
    small, large = asyncio.create_task(checks.check(9, 3)), asyncio.create_task(checks.check(60, 3))
    await large
    desk.opened.set()
    await small

    await checks.check(60, 3)

    assert sorted(desk.asked) == [9, 60]


async def test_with_a_tokenizer_nobody_is_asked() -> None:
    desk = Desk()
    checks = vocabulary(desk, size=100)

    await checks.check(99, 3)
    with pytest.raises(ForeignTokenIds):
        await checks.check(100, 3)

    assert desk.asked == []


async def test_an_upstream_that_cannot_tell_is_asked_again_next_time() -> None:
    desk = Desk(404)
    checks = vocabulary(desk)

    await checks.check(100, 3)
    await checks.check(100, 3)

    assert desk.asked == [100, 100]
