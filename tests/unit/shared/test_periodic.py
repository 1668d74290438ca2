"""Rounds go on though one of them fails, and end when they are closed."""

import asyncio

from autobatch_shared.periodic import Periodic

SOON_S = 0.001


class Rounds:
    """Counts rounds; the first fails. Tells when so many are done."""

    def __init__(self, wanted: int) -> None:
        self.count = 0
        self.done = asyncio.Event()
        self._wanted = wanted

    async def work(self) -> float:
        self.count += 1
        if self.count == self._wanted:
            self.done.set()
        if self.count == 1:
            raise ValueError
        return SOON_S


async def test_a_round_that_fails_is_not_the_last() -> None:
    rounds = Rounds(3)
    periodic = Periodic("test", rounds.work, after_failure_s=SOON_S)
    periodic.start()
    await rounds.done.wait()
    await periodic.close()
    assert rounds.count >= 3


async def test_closing_lets_the_round_end_and_begins_no_other() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    ended = 0

    async def work() -> float:
        nonlocal ended
        begun.set()
        await may_end.wait()
        ended += 1
        return SOON_S

    periodic = Periodic("test", work)
    periodic.start()
    await begun.wait()
    closing = asyncio.create_task(periodic.close())
    may_end.set()
    await closing
    assert ended == 1


async def test_what_never_started_closes() -> None:
    await Periodic("test", Rounds(1).work).close()
