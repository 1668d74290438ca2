"""The network between each pair is cut after a command was applied, drops everything, refuses, or is slow."""

from collections.abc import Awaitable, Callable

from tests.faults.campaign import Act, Scenario
from tests.faults.steps import CALL, FRAME, after_claim, after_reply, calling, lasts
from tests.faults.world import World
from tests.support.servers.relay import Relay
from tests.support.waiting import wait_until

VICTIM = 1
SWALLOWS_S = 3.0
DELAY_S = 0.2
SLOW_FOR_S = 1.5

OF: dict[str, Callable[[World, int], list[Relay]]] = {
    "nginx - worker": lambda world, victim: [world.edge[victim]],
    "worker - Redis": lambda world, victim: [world.worker_redis[victim]],
    "batcher - Redis": lambda world, victim: [world.batcher_redis[victim]],
    "batcher - upstream": lambda world, victim: world.batcher_upstream[victim],
}
OWN_LINKS = {"batcher - upstream"}  # only one batcher's way fails


async def victim_of(pair: str, world: World) -> int:
    """Return the number of the worker or batcher whose network fails: one that has something to lose."""
    return await calling(world) if pair.startswith("batcher") else VICTIM


def black_hole(pair: str, *errors: int, runs_max: int = 1) -> Scenario:
    async def act(act: Act) -> None:
        relays = OF[pair](act.world, await victim_of(pair, act.world))
        for relay in relays:
            relay.black_hole()
        await lasts(SWALLOWS_S)
        for relay in relays:
            relay.cut()

    name = f"{pair}: black hole for {SWALLOWS_S} s"
    return Scenario(name, act, frozenset(errors), runs_max=runs_max, own_links=pair in OWN_LINKS)


def delay(pair: str) -> Scenario:
    async def act(act: Act) -> None:
        relays = OF[pair](act.world, await victim_of(pair, act.world))
        for relay in relays:
            relay.slow_down(DELAY_S)
        await lasts(SLOW_FOR_S)
        for relay in relays:
            relay.slow_down(0)

    return Scenario(f"{pair}: {round(DELAY_S * 1000)} ms each way", act, own_links=pair in OWN_LINKS)


async def answered(relay: Relay, needle: bytes) -> None:
    """Return when a command with these bytes was answered, and hold the answer."""
    wire = await relay.forward.sees(needle, then=relay.backward.hold)
    await wait_until(lambda: relay.backward.holds(b"", wire))


async def after_push(world: World, victim: int) -> None:
    await answered(world.worker_redis[victim], FRAME)


async def after_inbox(world: World, victim: int) -> None:
    """Ids were taken from the inbox, but did not arrive."""
    answers = world.worker_redis[victim].backward
    await answers.sees(b"inbox:", then=answers.hold)


async def mid_call(world: World, victim: int) -> None:
    await answered(world.batcher_upstream[victim][0], CALL)


async def mid_request(world: World, victim: int) -> None:
    await answered(world.edge[victim], CALL)


def cut(
    pair: str, when: str, until: Callable[[World, int], Awaitable[None]], *errors: int, runs_max: int = 1
) -> Scenario:
    async def act(act: Act) -> None:
        victim = await victim_of(pair, act.world)
        await until(act.world, victim)
        for relay in OF[pair](act.world, victim):
            relay.cut()

    return Scenario(f"{pair}: cut {when}", act, frozenset(errors), runs_max=runs_max, own_links=pair in OWN_LINKS)


async def refuse(act: Act) -> None:
    """The only upstream of a batcher goes in mid-call, and another batcher has another one that is well."""
    victim = await calling(act.world)
    await mid_call(act.world, victim)
    relays = act.world.batcher_upstream[victim]
    for relay in relays:
        relay.refuse()
        relay.cut()
    await lasts(SWALLOWS_S)
    for relay in relays:
        await relay.start()


SCENARIOS = [
    cut("nginx - worker", "before an answer arrives", mid_request, runs_max=2),
    black_hole("nginx - worker", runs_max=2),
    delay("nginx - worker"),
    cut("worker - Redis", "after a push was applied", after_push, 503),
    cut("worker - Redis", "after ids were taken from the inbox", after_inbox, 503),
    black_hole("worker - Redis", 503, 504),
    delay("worker - Redis"),
    cut("batcher - Redis", "after a claim was applied", after_claim),
    cut("batcher - Redis", "after replies were stored", after_reply),
    black_hole("batcher - Redis", runs_max=2),
    delay("batcher - Redis"),
    cut("batcher - upstream", "before an answer arrives", mid_call, runs_max=2),
    black_hole("batcher - upstream", 504, runs_max=2),
    delay("batcher - upstream"),
    Scenario(f"batcher - upstream: refuses for {SWALLOWS_S} s", refuse, runs_max=2, own_links=True),
]
