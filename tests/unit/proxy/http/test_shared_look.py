"""A look that is shared."""

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from autobatch_proxy.http.pages.shared_look import SharedLook


def _looks(fails: Iterator[bool], looks: Iterator[int]) -> SharedLook[int]:
    async def look() -> int:
        await asyncio.sleep(0)
        if next(fails, False):
            raise ConnectionError
        return next(looks)

    return SharedLook(look, every_s=3600.0)


async def test_all_who_ask_at_once_share_one_look() -> None:
    shared = _looks(iter(()), count())
    assert await asyncio.gather(*[shared.seen() for _ in range(5)]) == [0] * 5
    assert await shared.seen() == 0


async def test_what_is_too_old_is_looked_up_again() -> None:
    numbers = count()

    async def look() -> int:
        return next(numbers)

    shared = SharedLook(look, every_s=0.0)
    assert [await shared.seen(), await shared.seen()] == [0, 1]


async def test_a_look_that_fails_is_told_and_not_kept() -> None:
    shared = _looks(iter([True]), count())
    with pytest.raises(ConnectionError):
        await shared.seen()
    assert await shared.seen() == 0
