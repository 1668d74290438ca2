"""A batcher dies, or is paused for longer than its lease, at each step of its work."""

from tests.faults.campaign import Act, Scenario
from tests.faults.steps import STEPS, kill_batcher, lasts, stop
from tests.support.waiting import wait_until

VICTIM = 1
PAUSE_S = 3.5  # the lease is 2 s: the other batcher has its jobs when it resumes


def killed(step: str) -> Scenario:
    async def act(act: Act) -> None:
        await STEPS[step](act.world, VICTIM)
        await kill_batcher(act.world, VICTIM)

    return Scenario(f"batcher: kill -9 {step}", act, runs_max=2)


def paused(step: str) -> Scenario:
    async def act(act: Act) -> None:
        world = act.world
        await STEPS[step](world, VICTIM)
        relay = world.batcher_redis[VICTIM]
        pids = [world.batchers[VICTIM].pid]
        stop(pids)
        relay.forward.release()
        relay.backward.release()
        await world.behave("good")
        await lasts(PAUSE_S)
        stop(pids, go_on=True)
        if (
            step == "during the call"
        ):  # its answers arrived while it was paused, and the other batcher took over its jobs
            await wait_until(lambda: "replies_late" in world.batchers[VICTIM].output)

    return Scenario(f"batcher: SIGSTOP for {PAUSE_S} s {step}", act, runs_max=2)


SCENARIOS = [*map(killed, STEPS), *map(paused, STEPS)]
