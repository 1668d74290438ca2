"""Requests whose deadline expires, on a loop whose time the test sets."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from autobatch_proxy.queue.in_flight import DEADLINE_STEP_S, Deadlines, WaitingRequest
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.contract.errors import DeadlineExceeded


class FakeLoop:
    """A loop with a clock and timers.

    Attributes:
        now_s: What its clock shows.
        timers: When each timer that was not cancelled is due, and what it calls.
    """

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, at_s: float, callback: Callable[[], None]) -> Any:
        timer = (at_s, callback)
        self.timers.append(timer)
        return FakeTimer(self.timers, timer)

    def pass_time(self, until_s: float) -> None:
        """Call what is due until then, at its time."""
        while due := [timer for timer in self.timers if timer[0] <= until_s]:
            timer = min(due, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now_s = timer[0]
            timer[1]()
        self.now_s = until_s


class FakeTimer:
    def __init__(self, timers: list[tuple[float, Callable[[], None]]], timer: tuple[float, Callable[[], None]]) -> None:
        self._timers, self._timer = timers, timer

    def cancel(self) -> None:
        if self._timer in self._timers:
            self._timers.remove(self._timer)


def waiting(ends_s: float) -> WaitingRequest:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    return WaitingRequest(Plan([], "/embed"), 0, ends_s, 0, futures=[future])


def has_expired(request: WaitingRequest) -> bool:
    (future,) = request.futures
    return future.done() and isinstance(future.exception(), DeadlineExceeded)


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def deadlines(loop: FakeLoop) -> Deadlines:
    return Deadlines(cast("asyncio.AbstractEventLoop", loop))


async def test_each_request_expires_at_its_own_time_and_not_before(loop: FakeLoop, deadlines: Deadlines) -> None:
    requests = [waiting(ends_s) for ends_s in (1030.0, 1000.5, 1000.6, 1010.25)]
    for request in requests:
        deadlines.add(request)
    for request in sorted(requests, key=lambda each: each.ends_s):
        loop.pass_time(request.ends_s - 1e-6)
        assert not has_expired(request)
        loop.pass_time(request.ends_s + DEADLINE_STEP_S + 1e-6)
        assert has_expired(request)
    assert not loop.timers


async def test_a_request_that_has_ended_expires_no_more_and_leaves_nothing_behind(
    loop: FakeLoop, deadlines: Deadlines
) -> None:
    ended, left = waiting(1001.0), waiting(1001.0)
    deadlines.add(ended)
    deadlines.add(left)
    deadlines.remove(ended)
    loop.pass_time(1002.0)
    assert not has_expired(ended)
    assert has_expired(left)
    deadlines.remove(left)
    assert not deadlines._steps


async def test_there_is_one_timer_for_all(loop: FakeLoop, deadlines: Deadlines) -> None:
    """Of ten thousand requests that end in time nothing is left but it."""
    for number in range(10_000):
        request = waiting(1030.0 + number / 1000)
        deadlines.add(request)
        deadlines.remove(request)
        assert len(loop.timers) == 1
    deadlines.close()
    assert not loop.timers
