"""Ten incidents, each with the alert that has to tell of it. `python -m tests.monitoring [WORDS]` stages them."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.faults.load import SteadyLoad
from tests.faults.scenarios.models import OTHER, restart
from tests.faults.world import DEADLINE_S, World

LOAD_PER_S = 30.0
SLOW_UPSTREAM_S, SLOW_REDIS_S = 0.8, 0.03  # each way
FLOOD_CLIENTS, BUSY_CLIENTS = 64, 8
QUEUE_INPUTS = 24  # of a fleet that one client can fill
LONG_TEXT = "a text that is longer than the others " * 60
TOO_LONG = b'{"inputs":"%b"}' % (b"x" * 3_000)
PAYLOAD_LIMIT = 2_000
USUAL_KEY, OTHER_KEY = "usual", "flood"

_serials = itertools.count()
Stage = Callable[[World, SteadyLoad], Awaitable[None]]


@dataclass(frozen=True)
class Incident:
    """What goes wrong, and what has to tell of it.

    Attributes:
        name: What is staged.
        alert: The alert that has to fire.
        panels: Titles of the board's panels that show it.
        stage: Lets it go wrong, and returns; or goes on until it is cancelled.
        replicas: Number of upstreams.
        worker_settings: Further settings of the workers.
        batcher_settings: Further settings of the batchers.
    """

    name: str
    alert: str
    panels: Sequence[str]
    stage: Stage
    replicas: int = 1
    worker_settings: Mapping[str, object] = field(default_factory=dict)
    batcher_settings: Mapping[str, object] = field(default_factory=dict)


async def upstream_slow(world: World, _load: SteadyLoad) -> None:
    for relays in world.batcher_upstream:
        relays[0].slow_down(SLOW_UPSTREAM_S)


async def replica_fails(world: World, _load: SteadyLoad) -> None:
    await world.behave("500", 1)


async def redis_slow(world: World, _load: SteadyLoad) -> None:
    for relay in (*world.worker_redis, *world.batcher_redis):
        relay.slow_down(SLOW_REDIS_S)


async def batchers_gone(world: World, _load: SteadyLoad) -> None:
    for batcher in world.batchers:
        batcher.signal(signal.SIGKILL)


async def worker_busy(world: World, _load: SteadyLoad) -> None:
    """A page that costs it ten milliseconds is asked for all the time."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(world.folder / "proxy-0.sock"))) as session:

        async def ask_for_ever() -> None:
            while True:
                async with session.get("http://worker/metrics") as answer:
                    await answer.read()

        await asyncio.gather(*(ask_for_ever() for _ in range(BUSY_CLIENTS)))


async def one_key_floods(world: World, _load: SteadyLoad) -> None:
    await world.behave("slow")
    bodies = [b'{"inputs":"flood of client %d"}' % client for client in range(FLOOD_CLIENTS)]
    await _post_for_ever(world, bodies, {"Authorization": f"Bearer {OTHER_KEY}"})


async def texts_too_long(world: World, _load: SteadyLoad) -> None:
    await _post_for_ever(world, [TOO_LONG], {})


async def much_padding(world: World, load: SteadyLoad) -> None:
    await world.behave("padded")
    while True:
        for _ in range(20):
            load.send(f"short {next(_serials)}")
        load.send(f"{LONG_TEXT}{next(_serials)}")
        await asyncio.sleep(0.2)


async def wrong_model(world: World, _load: SteadyLoad) -> None:
    await restart(world, 1, OTHER)


async def clock_off(world: World, _load: SteadyLoad) -> None:
    world.step_clock(is_ahead=True)


INCIDENTS = (
    Incident("the upstream is slow", "AutobatchUpstreamSlow", ("Duration of a call",), upstream_slow),
    Incident(
        "one of two replicas fails",
        "AutobatchUpstreamFailing",
        ("Failed calls by cause", "State of each upstream"),
        replica_fails,
        2,
    ),
    Incident("Redis is slow", "AutobatchRedisSlow", ("Round trip to Redis",), redis_slow),
    Incident(
        "no batcher is left", "AutobatchNoBatcher", ("Upstreams, batchers, Redis", "Refusals by reason"), batchers_gone
    ),
    Incident(
        "a worker uses all of its core",
        "AutobatchProcessBusy",
        ("Cores that each process uses, or waits for",),
        worker_busy,
    ),
    Incident(
        "one API key floods",
        "AutobatchOneKeyFloods",
        ("Requests by API key", "Answers by status"),
        one_key_floods,
        worker_settings={"api_keys": f"{USUAL_KEY},{OTHER_KEY}", "max_queue_size": QUEUE_INPUTS},
    ),
    Incident(
        "texts are too long",
        "AutobatchInputsTooLong",
        ("Answers by status", "Refusals by reason"),
        texts_too_long,
        worker_settings={"payload_limit": PAYLOAD_LIMIT},
    ),
    Incident(
        "half of the work is padding",
        "AutobatchPadding",
        ("Padding and fill", "Tokens a second"),
        much_padding,
        batcher_settings={"batch_shape": "fifo"},
    ),
    Incident(
        "an upstream serves another model",
        "AutobatchWrongModel",
        ("State of each upstream", "What each upstream serves"),
        wrong_model,
        2,
    ),
    Incident("a clock is an hour ahead", "AutobatchClocksDiffer", ("Clocks: + ahead of Redis's, - behind",), clock_off),
)


@asynccontextmanager
async def usual_load(world: World) -> AsyncIterator[SteadyLoad]:
    """What clients send all the time, with an API key, which counts where there are keys."""
    key = f"Authorization: Bearer {USUAL_KEY}\r\n".encode()
    load = SteadyLoad(world.nginx_port, LOAD_PER_S, DEADLINE_S, headers=key)
    load.start()
    try:
        yield load
    finally:
        await load.stop()


async def _post_for_ever(world: World, bodies: Sequence[bytes], headers: Mapping[str, str]) -> None:
    """Send each body again and again, each as a client of its own."""

    async def post(body: bytes) -> None:
        url = f"http://127.0.0.1:{world.nginx_port}/embed"
        while True:
            async with world.http.post(
                url, data=body, headers={"Content-Type": "application/json", **headers}
            ) as answer:
                await answer.read()

    try:
        await asyncio.gather(*map(post, bodies))
    except aiohttp.ClientError as error:
        raise AssertionError(error) from error
