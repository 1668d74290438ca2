"""A bell wakes its waiter, and a ring is not lost. No test waits longer than a millisecond when all is well."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from autobatch_shared.bell import Bell

FOR_EVER_S = 60.0
AT_ONCE_S = 1e-9


async def test_a_ring_before_the_wait_is_kept() -> None:
    bell = Bell()
    bell.ring()

    assert await bell.wait(FOR_EVER_S) is True


async def test_a_ring_during_the_wait_wakes() -> None:
    bell = Bell()
    asyncio.get_running_loop().call_soon(bell.ring)

    assert await bell.wait(FOR_EVER_S) is True


async def test_without_a_ring_the_wait_ends_at_its_time() -> None:
    loop, bell = asyncio.get_running_loop(), Bell()
    started_s = loop.time()

    assert await bell.wait(0.002) is False
    # The loop's timers may fire early by the clock's resolution.
    assert loop.time() - started_s > 0.001


async def test_a_ring_wakes_once() -> None:
    bell = Bell()
    bell.ring()
    await bell.wait(FOR_EVER_S)

    assert await bell.wait(AT_ONCE_S) is False


async def test_a_ring_that_woke_is_used_up() -> None:
    bell = Bell()
    asyncio.get_running_loop().call_soon(bell.ring)
    await bell.wait(FOR_EVER_S)

    assert await bell.wait(0) is False


async def test_rings_while_nobody_waits_are_one() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()

    assert [True, False] == [await bell.wait(0), await bell.wait(0)]


async def test_no_time_at_all_is_a_look_and_no_wait() -> None:
    """It must not give way to the loop either: a caller that looks in passing goes on in the same tick."""
    bell = Bell()
    asyncio.get_running_loop().call_soon(bell.ring)

    assert [False, False] == [await bell.wait(0), await bell.wait(-1)]


async def test_a_ring_to_somebody_already_woken_is_kept() -> None:
    """He may have looked at the world before it."""
    loop, bell = asyncio.get_running_loop(), Bell()
    loop.call_soon(bell.ring)
    loop.call_soon(bell.ring)

    assert await bell.wait(FOR_EVER_S) is True
    assert await bell.wait(0) is True


async def test_a_ring_and_the_end_of_time_at_once_are_a_ring() -> None:
    """The ring is first in the loop's queue, and the timer is due in the same turn."""
    loop, bell = asyncio.get_running_loop(), Bell()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
    loop.call_soon(bell.ring)

    assert await bell.wait(AT_ONCE_S) is True
    assert complaints == []


async def test_a_ring_after_the_end_of_time_is_kept() -> None:
    bell = Bell()
    await bell.wait(AT_ONCE_S)
    bell.ring()

    assert await bell.wait(0) is True


async def test_a_ring_after_the_waiter_was_cancelled_is_kept() -> None:
    bell = Bell()
    waiter = asyncio.create_task(bell.wait(FOR_EVER_S))
    asyncio.get_running_loop().call_soon(waiter.cancel)
    with suppress(asyncio.CancelledError):
        await waiter

    bell.ring()

    assert waiter.cancelled()
    assert await bell.wait(0) is True


async def test_waits_that_are_rung_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, bell = asyncio.get_running_loop(), Bell()
    timers, call_at = [], loop.call_at

    def counted(*args: Any) -> asyncio.TimerHandle:
        timers.append(args)
        return call_at(*args)

    monkeypatch.setattr(loop, "call_at", counted)
    monkeypatch.setattr(loop, "call_later", counted)
    for _ in range(100):
        loop.call_soon(bell.ring)
        await bell.wait(FOR_EVER_S)

    assert len(timers) == 1


async def test_the_timer_of_a_longer_wait_delays_no_shorter_one() -> None:
    loop, bell = asyncio.get_running_loop(), Bell()
    loop.call_soon(bell.ring)
    await bell.wait(FOR_EVER_S)

    assert await bell.wait(AT_ONCE_S) is False


async def test_the_timer_of_an_earlier_wait_ends_no_later_one() -> None:
    loop, bell = asyncio.get_running_loop(), Bell()
    loop.call_soon(bell.ring)
    await bell.wait(0.002)
    started_s = loop.time()

    assert await bell.wait(0.02) is False
    assert loop.time() - started_s > 0.018
