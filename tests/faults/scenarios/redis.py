"""Redis dies, with its data, without it or with a part of it, or is emptied, or is paused."""

from redis.asyncio import Redis

from autobatch_shared.contract.keys import Keys
from tests.faults.campaign import Act, Scenario
from tests.faults.steps import lasts, pause

DOWN_S = 1.5
KEYS = Keys("autobatch")


async def restart_empty(act: Act) -> None:
    act.world.redis.kill()
    await act.world.start_redis()


async def unavailable(act: Act) -> None:
    act.world.redis.kill()
    await lasts(DOWN_S)
    await act.world.start_redis()


async def restart_with_data(act: Act) -> None:
    """An append-only file that is synced at every command: what was acknowledged is there again."""
    world = act.world
    async with Redis.from_url(world.redis_url) as redis:
        await redis.config_set("appendfsync", "always")
        await redis.config_set("appendonly", "yes")
    await lasts(0.5)  # of load with it
    world.redis.kill()
    world.redis_options = ("--appendonly", "yes", "--appendfsync", "always")
    await world.start_redis()
    world.redis_options = ()
    async with Redis.from_url(world.redis_url) as redis:
        await redis.config_set("appendonly", "no")


async def flush(act: Act) -> None:
    """No connection ends."""
    async with Redis.from_url(act.world.redis_url) as redis:
        await redis.flushall()


async def delete_jobs(act: Act) -> None:
    """By hand: the queue and what is claimed, and nothing else."""
    world = act.world
    await world.behave("gate")
    await lasts(0.3)  # of load: some are claimed, some wait
    async with Redis.from_url(world.redis_url) as redis:
        await redis.delete(KEYS.jobs, *[name async for name in redis.scan_iter(f"{KEYS.claimed('')}*")])
    await world.behave("good")


async def restart_with_older_data(act: Act) -> None:
    """From a snapshot: jobs that were answered since are there again, and those that came since are not."""
    world = act.world
    async with Redis.from_url(world.redis_url) as redis:
        await world.behave("gate")
        await lasts(0.2)  # of load: some are claimed, some wait
        await redis.save()
        await world.behave("good")
        await lasts(0.3)
        await world.behave("gate")
        await lasts(0.2)
    world.redis.kill()
    await world.start_redis()
    await world.behave("good")
    (world.folder / "dump.rdb").unlink()


def paused(seconds: float, errors: frozenset[int] = frozenset()) -> Scenario:
    async def act(act: Act) -> None:
        await pause([act.world.redis.pid], seconds)

    return Scenario(f"Redis: SIGSTOP for {seconds} s", act, errors, runs_max=2 if errors else 1)


SCENARIOS = [
    Scenario("Redis: kill -9, back without its data", restart_empty, frozenset({503}), runs_max=2),
    Scenario("Redis: kill -9, back with older data", restart_with_older_data, frozenset({503}), runs_max=3),
    Scenario("Redis: FLUSHALL", flush, runs_max=2),
    Scenario("Redis: the queue and the claims deleted", delete_jobs, runs_max=2),
    Scenario("Redis: kill -9, back with its data", restart_with_data, frozenset({503}), runs_max=2),
    Scenario(f"Redis: unavailable for {DOWN_S} s, back without its data", unavailable, frozenset({503}), runs_max=2),
    paused(0.9),
    paused(3.0, frozenset({503, 504})),
]
