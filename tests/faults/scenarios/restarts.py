"""Each tier is restarted in turn, and no request may fail at all."""

import asyncio
import os
import signal

from tests.faults.campaign import Act, Scenario
from tests.faults.programs import children
from tests.faults.steps import calling, has_started
from tests.faults.world import PAIR, START_S
from tests.support.waiting import wait_until


async def restart_workers(act: Act) -> None:
    world = act.world
    for index in PAIR:
        world.workers[index].signal(signal.SIGTERM)
        await asyncio.to_thread(world.workers[index].wait)
        world.workers[index].close()
        world.workers[index] = world.start_worker(index)
        await wait_until(world.is_well, START_S)


async def restart_batchers(act: Act) -> None:
    world = act.world
    for index in PAIR:
        world.batchers[index].signal(signal.SIGTERM)
        await asyncio.to_thread(world.batchers[index].wait)
        world.batchers[index].close()
        world.batchers[index] = world.start_batcher(index)
        await has_started(world.batchers[index])


async def hand_over(act: Act) -> None:
    """The one that calls ends in order, and the other does before a third is there."""
    world = act.world
    index = await calling(world)
    world.batchers[index].signal(signal.SIGTERM)
    await asyncio.to_thread(world.batchers[index].wait)
    await wait_until(lambda: world.is_on_duty(1 - index))
    world.batchers[index].close()
    world.batchers[index] = world.start_batcher(index)
    await has_started(world.batchers[index])


async def reload_nginx(act: Act) -> None:
    before = set(children(act.world.nginx.pid))
    os.kill(act.world.nginx.pid, signal.SIGHUP)
    await wait_until(lambda: not before & set(children(act.world.nginx.pid)))


SCENARIOS = [
    Scenario("rolling restart of the workers", restart_workers),
    Scenario("rolling restart of the batchers", restart_batchers),
    Scenario("TERM of the batcher on duty", hand_over),
    Scenario("reload of nginx", reload_nginx),
]
