"""Where forward passes run, and when their thread rests."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from autobatch_embedder.model import passes as module
from autobatch_embedder.model.passes import Passes, Rows
from autobatch_embedder.model.vectors import Vectors
from tests.support.waiting import wait_until


def zeros(rows: Rows) -> Vectors:
    return np.zeros((len(rows), 2), dtype=np.float32)


def uncounted(_inputs: int, _tokens: int) -> None:
    """Take the size of a pass, and do nothing with it."""


class Rests:
    """Counts.

    Attributes:
        count: How often the thread rested.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def rests() -> Rests:
    return Rests()


@pytest.fixture
def passes(rests: Rests) -> Iterator[Passes]:
    made = Passes(1024, uncounted, rests, idle_s=0.01)
    yield made
    made.close()


async def test_the_thread_rests_after_requests_and_again_after_later_ones(passes: Passes, rests: Rests) -> None:
    for _ in range(3):
        await passes.run([[1]], zeros)
    await wait_until(lambda: rests.count > 0)

    before = rests.count
    await passes.run([[1]], zeros)
    await wait_until(lambda: rests.count > before)


async def test_a_thread_that_was_stopped_does_not_rest(rests: Rests) -> None:
    passes = Passes(1024, uncounted, rests, idle_s=60)
    await passes.run([[1]], zeros)
    passes.close()
    assert rests.count == 0


class Recording:
    """A pass.

    Attributes:
        is_on_loop: Of each pass, whether it ran on the test's own thread.
        texts: Of each pass.
        opened: It ends when this is set.
    """

    def __init__(self) -> None:
        self.is_on_loop: list[bool] = []
        self.texts: list[int] = []
        self.opened = threading.Event()
        self.opened.set()

    def __call__(self, rows: Rows) -> Vectors:
        self.is_on_loop.append(threading.current_thread() is threading.main_thread())
        self.texts.append(len(rows))
        assert self.opened.wait(60)
        return zeros(rows)


@pytest.fixture
def make(rests: Rests, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Passes]]:
    """Passes with one client or several; any pass of as many tokens as the one before it is short."""
    monkeypatch.setattr(module, "BLOCKED_S", 60)
    made: list[Passes] = []

    def make(*, is_only_client: bool) -> Passes:
        made.append(Passes(1024, uncounted, rests, is_only_client=lambda: is_only_client))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_once_its_cost_is_known_a_pass_of_the_only_client_runs_on_the_event_loop(
    make: Callable[..., Passes],
) -> None:
    passes, forward = make(is_only_client=True), Recording()
    for _ in range(3):
        done = await passes.run([[1, 2]], forward)
    assert (1, 2) == done.vectors.shape
    assert [False, True, True] == forward.is_on_loop


async def test_beside_other_clients_all_passes_run_on_the_thread(make: Callable[..., Passes]) -> None:
    passes, forward = make(is_only_client=False), Recording()
    for _ in range(3):
        await passes.run([[1, 2]], forward)
    assert [False] * 3 == forward.is_on_loop


async def test_a_pass_that_is_expected_to_take_long_runs_on_the_thread(
    make: Callable[..., Passes], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, forward = make(is_only_client=True), Recording()
    await passes.run([[1]], forward)
    monkeypatch.setattr(module, "BLOCKED_S", 0)
    await passes.run([[1]], forward)
    assert [False, False] == forward.is_on_loop


async def test_what_one_client_asks_for_at_once_is_computed_on_the_thread_and_joined(
    make: Callable[..., Passes],
) -> None:
    passes, forward = make(is_only_client=True), Recording()
    await passes.run([[1]], forward)
    await asyncio.gather(*(passes.run([[1]], forward) for _ in range(5)))
    assert not any(forward.is_on_loop)
    assert len(forward.texts) < 6


async def test_while_the_pass_of_a_client_that_left_is_running_the_next_one_waits_for_it_on_the_thread(
    make: Callable[..., Passes],
) -> None:
    passes, forward = make(is_only_client=True), Recording()
    await passes.run([[1]], forward)
    forward.opened.clear()
    leaving = asyncio.gather(*(passes.run([[1]], forward) for _ in range(2)))
    await wait_until(lambda: len(forward.texts) > 1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    last = asyncio.create_task(passes.run([[1]], forward))
    await wait_until(lambda: passes.waiting_inputs)
    forward.opened.set()
    await last
    assert not any(forward.is_on_loop)
