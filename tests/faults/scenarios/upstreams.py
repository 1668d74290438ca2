"""The upstream refuses, hangs, closes connections, sends invalid answers, dies and returns; or one of two does."""

import asyncio

from tests.faults.campaign import PER_SECOND, Act, Scenario
from tests.faults.load import SteadyLoad
from tests.faults.steps import lasts
from tests.faults.world import START_S, World
from tests.support.waiting import wait_until

LASTS_S = 1.5
HANGS_S = 6.0  # longer than any deadline; it ends with a restart that cuts the hanging calls
SHORT_S = 0.3  # less than a call takes that is slow
SHORT_DEADLINE = b"x-request-timeout-ms: %d\r\n" % (SHORT_S * 1000)
SOON_S = 0.2
OF_TWO = "one of two upstreams"


def behaves(behaviour: str, *errors: int, runs_max: int = 1) -> Scenario:
    async def act(act: Act) -> None:
        await act.world.behave(behaviour)
        await lasts(HANGS_S if behaviour == "hang" else LASTS_S)
        await act.world.behave("good")

    return Scenario(f"upstream: {DONE.get(behaviour, behaviour)}", act, frozenset(errors), runs_max=runs_max)


DONE = {
    "hang": "accepts and never answers",
    "slow": "answers slowly",
    "cut": "hangs up in mid-answer",
    "keep-alive race": "closes kept connections as calls come",
    "HTML": "HTML with 200",
}


async def die(act: Act) -> None:
    await dies(act.world, LASTS_S)


async def dies(world: World, seconds: float) -> None:
    """All calls in flight are cut and new ones refused, until it returns."""
    upstream = world.upstreams[0]
    relays = world.relays_to(0)
    for relay in relays:
        await relay.stop()  # otherwise it would accept connections for a server that is down
    upstream.kill()
    await lasts(seconds)
    for relay in relays:
        await relay.start()
    upstream.start()
    await wait_until(lambda: world.answers(0), START_S)


async def terminated(act: Act) -> None:
    """As a container that is replaced, with slow calls in flight: they are answered, and new connections refused meanwhile."""
    world = act.world
    await world.behave("slow", 0)
    await lasts(SOON_S)
    relays = world.relays_to(0)
    for relay in relays:
        relay.refuse()
    await asyncio.to_thread(world.upstreams[0].terminate)
    await lasts(LASTS_S)
    for relay in relays:
        await relay.start()
    world.upstreams[0].start()
    await wait_until(lambda: world.answers(0), START_S)


async def slow_then_fast(act: Act) -> None:
    """Slow for long enough that no faster call is remembered; then there are only deadlines below what calls took."""
    await act.world.behave("slow")
    await lasts(4 * LASTS_S)
    await act.load.stop()
    await act.world.behave("good")
    short = SteadyLoad(act.world.nginx_port, PER_SECOND, SHORT_S, headers=SHORT_DEADLINE)
    short.start()
    await lasts(LASTS_S)
    await short.stop()
    act.load.requests += short.requests
    act.load.start()


async def die_while_slow(act: Act) -> None:
    """Killed with calls of 0.4 s in flight, each of 32 inputs, and soon back."""
    await act.world.behave("slow")
    await lasts(LASTS_S)
    await dies(act.world, SOON_S)


def one_of_two(behaviour: str, *errors: int) -> Scenario:
    async def act(act: Act) -> None:
        await act.world.behave(behaviour, 0)
        await lasts(HANGS_S if behaviour == "hang" else LASTS_S)
        await act.world.behave("good", 0)

    return Scenario(f"{OF_TWO}: {DONE.get(behaviour, behaviour)}", act, frozenset(errors), replicas=2)


SCENARIOS = [
    Scenario("upstream: kill -9, refuses, comes back", die, frozenset({503, 504}), runs_max=2),
    Scenario(
        "upstream: kill -9 with slow calls in flight, comes back",
        die_while_slow,
        frozenset({429, 503, 504}),
        runs_max=2,
    ),
    behaves("hang", 429, 503, 504),
    behaves("slow"),
    Scenario("upstream: slow, then fast, short deadlines", slow_then_fast),
    behaves("cut", 503, runs_max=6),
    behaves("keep-alive race"),
    behaves("429"),
    behaves("429 with Retry-After"),
    behaves("500", 500, 503),
    behaves("424", 424, 503),
    behaves("503"),
    behaves("HTML", 502),
    behaves("truncated JSON", 502),
    behaves("too few rows", 502),
    behaves("too many rows", 502),
    behaves("a row of another length", 502),
    behaves("null for a row", 502),
    one_of_two("500"),
    one_of_two("hang"),
    Scenario(f"{OF_TWO}: kill -9, comes back", die, runs_max=2, replicas=2),
    Scenario(f"{OF_TWO}: TERM under load, comes back", terminated, replicas=2),
    one_of_two("503"),
    one_of_two("HTML"),
]
