"""When the thread of the forward passes rests."""

from collections.abc import Iterator

import numpy as np
import pytest

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
