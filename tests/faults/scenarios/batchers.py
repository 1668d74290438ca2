"""The batcher on duty dies, is paused for longer than its lease, or ends; or all are gone; or a job is not theirs.

Two of them also share one upstream's limit.
"""

import signal

from redis.asyncio import Redis

from autobatch_shared.contract.frames import VERSION
from autobatch_shared.contract.keys import Keys
from tests.faults.campaign import Act, Scenario
from tests.faults.steps import STEPS, calling, has_started, kill_batcher, lasts, stop
from tests.faults.upstream import PERMITS, PERMITS_LIMITED
from tests.faults.world import PAIR, World
from tests.support.waiting import wait_until

BURST = 600
KEYS = Keys("autobatch")
ABSENT_S = 5.0
PAUSE_S = 3.5  # the lease is 2 s: the other batcher has its jobs when it resumes


def killed(step: str) -> Scenario:
    async def act(act: Act) -> None:
        victim = await calling(act.world)
        await STEPS[step](act.world, victim)
        await kill_batcher(act.world, victim, until=lambda: act.world.is_on_duty(1 - victim))

    return Scenario(f"batcher: kill -9 {step}", act, runs_max=2)


def paused(step: str) -> Scenario:
    async def act(act: Act) -> None:
        world = act.world
        victim = await calling(world)
        await STEPS[step](world, victim)
        relay = world.batcher_redis[victim]
        pids = [world.batchers[victim].pid]
        stop(pids)
        relay.forward.release()
        relay.backward.release()
        await world.behave("good")
        await lasts(PAUSE_S)
        assert world.is_on_duty(1 - victim), "the other batcher did not take over"
        stop(pids, go_on=True)
        if (
            step == "during the call"
        ):  # its answers arrived while it was paused, and the other batcher took over its jobs
            await wait_until(lambda: "replies_late" in world.batchers[victim].output)

    return Scenario(f"batcher: SIGSTOP for {PAUSE_S} s {step}", act, runs_max=2)


async def ended(act: Act) -> None:
    """It hands over: what it had is answered, and the other calls."""
    world = act.world
    victim = await calling(world)
    world.batchers[victim].signal(signal.SIGTERM)
    await wait_until(lambda: world.is_on_duty(1 - victim))
    await wait_until(lambda: not world.batchers[victim].is_running)
    world.batchers[victim].close()
    world.batchers[victim] = world.start_batcher(victim)
    await has_started(world.batchers[victim])


async def absent(act: Act) -> None:
    """None is running for a while: refusals after ABSENT_AFTER_S, with the reason, and right answers after it."""
    world = act.world
    for index in PAIR:
        world.batchers[index].signal(signal.SIGKILL)
        world.batcher_redis[index].cut()
        world.batchers[index].close()
    await lasts(ABSENT_S)
    for index in PAIR:
        world.batchers[index] = world.start_batcher(index)
    for index in PAIR:
        await has_started(world.batchers[index])


async def newer_frame(act: Act) -> None:
    """A job of a newer version is left to the batchers of that version, and costs no neighbour anything."""
    async with Redis.from_url(act.world.redis_url) as redis:
        frame = b'{"v":%d,"crc":"0","id":"w1.1","n":1,"at":1' % (VERSION + 1)
        await redis.rpush(KEYS.jobs, *[frame] * 100)

        async def is_left() -> bool:
            return await redis.llen(KEYS.of_version(VERSION + 1)) == 100

        await wait_until(is_left)
        await redis.delete(KEYS.of_version(VERSION + 1))


async def share_a_limit(act: Act) -> None:
    """More waits than the upstream takes at once: each batcher alone would fill it."""
    world = act.world
    await world.behave("limited")
    await wait_until(lambda: all_know_permits(world, PERMITS_LIMITED))
    for number in range(BURST):
        act.load.send(f"one of a burst at {act.load.requests[-1].start_s}, number {number}")
    await lasts(2.0)
    await world.behave("good")
    await wait_until(lambda: all_know_permits(world, PERMITS))


async def all_know_permits(world: World, permits: int) -> bool:
    """Whether every batcher reports that its upstream takes so many inputs at once."""
    async with Redis.from_url(world.redis_url) as redis:
        reports = await redis.hvals(KEYS.batchers)
    return sum(b'"in_flight_inputs_max":%d' % permits in report for report in reports) == len(PAIR)


SCENARIOS = [
    *map(killed, STEPS),
    *map(paused, STEPS),
    Scenario("batcher: TERM, the other takes over", ended),
    Scenario(f"batcher: none for {ABSENT_S} s", absent, frozenset({503, 504}), runs_max=2),
    Scenario("batcher: jobs of a newer version in the queue", newer_frame),
    Scenario(f"batchers: two, {PERMITS_LIMITED} inputs in flight at most, {BURST} at once", share_a_limit),
]
