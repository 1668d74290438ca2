"""An input that crashes the upstream: given up after two crashes, while the other inputs get their vectors."""

import asyncio

from redis.asyncio import Redis

from tests.faults.campaign import Act, Scenario
from tests.faults.outcome import AnswerKind
from tests.faults.upstream import DEADLY
from tests.faults.world import World
from tests.support.waiting import wait_until

RUNS_MAX = 3  # another input may be in both calls


async def poisoned(act: Act) -> None:
    """One such input; the upstream is restarted whenever it has crashed."""
    world = act.world
    restarting = asyncio.create_task(keep_running(world))
    try:
        async with Redis.from_url(world.redis_url) as redis:
            before = await redis.llen("{autobatch}:dead")
            poison = act.load.send(f"something {DEADLY}")
            await wait_until(lambda: poison.kind)
            assert (poison.kind, poison.status) == (AnswerKind.CLEAR, 502)
            frames = await redis.lrange("{autobatch}:dead", 0, -1)
            assert len(frames) == before + 1
            assert DEADLY.encode() in frames[0]
        await wait_until(world.are_up)
    finally:
        restarting.cancel()


async def keep_running(world: World) -> None:
    while True:
        for upstream in world.upstreams:
            if not upstream.is_running:
                upstream.start()
        await asyncio.sleep(0.05)


SCENARIOS = [
    Scenario("an input kills the upstream", poisoned, frozenset({502, 503}), runs_max=RUNS_MAX),
    Scenario("an input kills one of two upstreams", poisoned, frozenset({502, 503}), runs_max=RUNS_MAX, replicas=2),
]
