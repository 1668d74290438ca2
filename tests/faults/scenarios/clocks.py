"""The clock of one host, with a worker and a batcher on it, is set an hour ahead and back; and so is Redis's."""

from tests.faults.campaign import Act, Scenario
from tests.faults.steps import lasts
from tests.support.servers.stepped_clock import COMPILER

STEP_S = 3600


async def step(act: Act) -> None:
    act.world.step_clock(is_ahead=True)
    await lasts(1.5)
    act.world.step_clock(is_ahead=False)


async def step_of_redis(act: Act) -> None:
    """Under a backlog: jobs wait, are held and are in calls when the clock steps."""
    clock = act.world.redis_clock
    assert clock is not None
    for seconds in (STEP_S, 0):
        await act.world.behave("gate")
        await lasts(0.3)
        clock.step(seconds)
        await act.world.behave("good")
        await lasts(1.5)


SCENARIOS = [Scenario("clock: an hour ahead on one host, and back", step)]
if COMPILER is not None:
    SCENARIOS.append(Scenario("clock: an hour ahead on Redis's host, and back", step_of_redis, runs_max=3))
