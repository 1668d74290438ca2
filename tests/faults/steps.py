"""The actions of scenarios on processes: hold a batcher at a step, kill, pause, replace.

No pause here waits for a condition.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

from tests.faults.programs import children
from tests.faults.world import PAIR, START_S, World
from tests.support.processes import Process
from tests.support.waiting import wait_until

FRAME = b'"crc":"'  # in a claim that goes to a batcher, or in a push or a reply that goes to Redis
CLAIMED = (
    rb':-?\d+\r\n\$\d+\r\n{"v":\d+,"crc"'  # the reply to a claim: numbers, then frames; a watch's reply is only a frame
)
CALL = b"POST /embed"


async def lasts(seconds: float) -> None:
    """Let a fault last."""
    await asyncio.sleep(seconds)


async def calling(world: World) -> int:
    """Return the number of the batcher that calls the first upstream."""
    if not world.own_links:
        await wait_until(lambda: sum(world.is_on_duty(index) for index in PAIR) == 1)
        return next(index for index in PAIR if world.is_on_duty(index))
    seen = [asyncio.create_task(relays[0].forward.sees(CALL)) for relays in world.batcher_upstream]
    done, others = await asyncio.wait(seen, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    first = done.pop()
    first.result()  # raises if there was no call
    return seen.index(first)


async def after_claim(world: World, index: int) -> None:
    """Return when Redis has given jobs to the batcher, before the batcher knows."""
    answers = world.batcher_redis[index].backward
    await answers.sees(CLAIMED, then=answers.hold)


async def during_call(world: World, index: int) -> None:
    """Return when the upstream has a call of the batcher."""
    await world.behave("gate")
    await world.batcher_upstream[index][0].forward.sees(CALL)


async def before_reply(world: World, index: int) -> None:
    """Return when the batcher has the upstream's answer and has sent replies that have not reached Redis."""
    await during_call(world, index)
    commands = world.batcher_redis[index].forward
    written = asyncio.create_task(commands.sees(FRAME, then=commands.hold))
    await world.behave("good")
    await written


async def after_reply(world: World, index: int) -> None:
    """Return when Redis has stored replies, before the batcher knows."""
    await during_call(world, index)
    relay = world.batcher_redis[index]
    replied = asyncio.create_task(relay.forward.sees(FRAME, then=relay.backward.hold))
    await world.behave("good")
    wire = await replied
    await wait_until(lambda: relay.backward.holds(b"", wire))


STEPS: dict[str, Callable[[World, int], Awaitable[None]]] = {
    "after the claim": after_claim,
    "during the call": during_call,
    "before the reply": before_reply,
    "after the reply": after_reply,
}


async def kill_batcher(world: World, index: int, until: Callable[[], bool]) -> None:
    """`kill -9`, and start another one in its place once something has come true."""
    world.batchers[index].signal(signal.SIGKILL)
    world.batcher_redis[index].cut()
    await world.behave("good")
    world.batchers[index].close()
    await wait_until(until)
    world.batchers[index] = world.start_batcher(index)
    await has_started(world.batchers[index])


async def has_started(process: Process) -> None:
    """Return once it reports ready."""
    await wait_until(lambda: '"started"' in process.output, START_S)


def stop(pids: Sequence[int], *, go_on: bool = False) -> None:
    """SIGSTOP, or SIGCONT."""
    for pid in pids:
        os.kill(pid, signal.SIGCONT if go_on else signal.SIGSTOP)


async def pause(pids: Sequence[int], seconds: float) -> None:
    """SIGSTOP and, after a delay, SIGCONT."""
    stop(pids)
    try:
        await lasts(seconds)
    finally:
        stop(pids, go_on=True)


def worker_pid(world: World, index: int) -> int:
    """Return the pid of the process that serves."""
    return children(world.workers[index].pid)[0]


def pids_of_nginx(world: World) -> list[int]:
    """Return nginx's processes."""
    return [world.nginx.pid, *children(world.nginx.pid)]
