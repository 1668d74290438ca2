"""The clock of one host, with a worker and a batcher on it, is set an hour ahead and back."""

from tests.faults.campaign import Act, Scenario
from tests.faults.steps import lasts


async def step(act: Act) -> None:
    act.world.step_clock(is_ahead=True)
    await lasts(1.5)
    act.world.step_clock(is_ahead=False)


SCENARIOS = [Scenario("clock: an hour ahead on one host, and back", step)]
