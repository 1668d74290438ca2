"""The campaign's most important faults, short enough for every run of the tests; `make faults` runs all of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.campaign import PATIENT, Scenario, is_failed, run
from tests.faults.scenarios import SCENARIOS
from tests.faults.world import World, open_world

TELLING = (
    "batcher: kill -9 during the call",
    "batcher: SIGSTOP for 3.5 s before the reply",
    "worker: kill -9",
    "Redis: kill -9, back without its data",
    "rolling restart of the workers",
    "an input kills the upstream",
    "worker - Redis: cut after a push was applied",
    "batcher - Redis: cut after a claim was applied",
)
CHOSEN = [scenario for scenario in SCENARIOS if scenario.name in TELLING]


pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with open_world(deadline_s=PATIENT.deadline_s) as opened:
        yield opened


def test_all_of_them_are_there() -> None:
    assert len(TELLING) == len(CHOSEN)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", CHOSEN, ids=lambda scenario: scenario.name)
async def test_nothing_is_wrong_lost_hung_or_doubled(world: World, scenario: Scenario) -> None:
    row = await run(scenario, world, memory_mb={}, pace=PATIENT)
    assert not is_failed(row), row
