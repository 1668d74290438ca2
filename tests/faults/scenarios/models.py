"""An upstream comes back as another model, or with a lower limit; a whole fleet changes to another model."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from autobatch_bench.checking.oracle import names, names_in
from tests.faults.campaign import Act, Scenario
from tests.faults.outcome import MODEL
from tests.faults.steps import lasts
from tests.faults.upstream import LOWERED, REFUSING
from tests.faults.world import START_S, World
from tests.support.waiting import wait_until

LASTS_S = 2.0
OTHER = "other"
LIST_INPUTS = 32


async def restart(world: World, place: int, model: str) -> None:
    """Kill an upstream, and start it with a model; calls in flight are cut and new ones refused meanwhile."""
    upstream = world.upstreams[place]
    relays = world.relays_to(place)
    for relay in relays:
        await relay.stop()  # otherwise it would accept connections for a server that is down
    upstream.kill()
    upstream.argv = [*upstream.argv[:4], *([] if model == MODEL else [model])]
    for relay in relays:
        await relay.start()
    upstream.start()
    await wait_until(lambda: world.answers(place), START_S)


@asynccontextmanager
async def other_at(world: World, place: int) -> AsyncIterator[None]:
    """One upstream has another model."""
    try:
        await restart(world, place, OTHER)
        yield
    finally:
        await restart(world, place, MODEL)


def models_of(act: Act) -> list[str]:
    """The models of the load's answers, in the order in which they came."""
    answered = sorted((each for each in act.load.requests if each.model), key=lambda each: each.end_s)
    return [each.model for each in answered]


async def one_changes(act: Act) -> None:
    async with other_at(act.world, 0):
        await lasts(LASTS_S)
    assert OTHER not in models_of(act), "answers of another model"


async def data_is_lost(act: Act) -> None:
    async with other_at(act.world, 1), Redis.from_url(act.world.redis_url) as redis:
        await lasts(LASTS_S)
        await redis.flushall()
        await lasts(LASTS_S)
    assert OTHER not in models_of(act), "answers of another model"


async def all_change(act: Act) -> None:
    world = act.world
    for model in (OTHER, MODEL):
        for place in range(len(world.upstreams)):
            await restart(world, place, model)
            if place == 0:
                await lasts(LASTS_S)
                assert models_of(act)[-1] != model, "moved before the whole fleet had changed"
        await wait_until(lambda: models_of(act)[-1] == model, START_S)  # noqa: B023 - it is called at once
        await lasts(LASTS_S)
    changes = sum(before != after for before, after in itertools.pairwise(models_of(act)))
    assert changes == 2, f"moved {changes} times"


async def all_refuse_us(act: Act) -> None:
    await act.world.behave(REFUSING)
    await lasts(LASTS_S)
    await act.world.behave("good")
    await lasts(LASTS_S)
    assert set(models_of(act)) == {MODEL}, "answers of no model"


async def limit_is_lowered(act: Act) -> None:
    await act.world.behave(LOWERED)
    lists = asyncio.create_task(_ask_lists(act.world))
    await lasts(2 * LASTS_S)
    await act.world.behave("good")
    lists.cancel()
    await asyncio.wait([lists])
    if not lists.cancelled():
        lists.result()


async def _ask_lists(world: World) -> None:
    for number in itertools.count():
        texts = [f"a list like no other, {number} {place}" for place in range(LIST_INPUTS)]
        url = f"http://127.0.0.1:{world.nginx_port}/embed"
        async with world.http.post(url, json={"inputs": texts}) as answer:
            body = await answer.read()
            assert answer.status == 200, body
            assert names_in(body, LIST_INPUTS) == names(texts)


SCENARIOS = [
    Scenario("models: one of two upstreams comes back with another one", one_changes, runs_max=2, replicas=2),
    Scenario("models: both change, one after the other, and back", all_change, frozenset({503}), 2, replicas=2),
    Scenario("models: Redis loses its data beside two of them", data_is_lost, frozenset({503}), 2, replicas=2),
    Scenario("models: all answer 401 for 2 s", all_refuse_us, frozenset({503}), 2),
    Scenario("models: the upstream takes fewer inputs, without an outage", limit_is_lowered),
]
