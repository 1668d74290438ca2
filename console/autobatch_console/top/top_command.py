"""`autobatch top`: what the fleet does now, read from Redis once a second; it changes nothing there."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from io import TextIOWrapper
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from autobatch_console.top.demo import DemoError, demo_fleet
from autobatch_console.top.history import ChartHistory
from autobatch_console.top.keyboard import keys_to
from autobatch_console.top.screen import frame
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.status import NO_ANSWER
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.settings.definitions import QueueSettings
from autobatch_shared.settings.loading import load
from autobatch_shared.watching.upstream_words import words_of
from autobatch_shared.watching.viewing import view_of

CONNECT_S = 5.0
LOOK_EVERY_S = 1.0
PIPE_WIDTH, PIPE_HEIGHT = 80, 60  # of one frame that goes into a file

HELP = """Show what the fleet does now: answered and waiting texts, latencies, the last batches, the state of each part.

It reads Redis, so it runs wherever REDIS_URL and NAMESPACE are those of the fleet. Both are flags, too: --redis-url, --namespace.
With a namespace of the demo's own, --demo needs neither.

Keys: + and - show less or more of the past, q ends.
"""


def command(
    ctx: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line for each second.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Start a fleet with a sleeping model, and load on it.")] = False,
) -> None:
    """Look, once a second."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # of a terminal or file that has no such marks
    settings = load(QueueSettings, ctx.args)
    raise typer.Exit(asyncio.run(_top(settings, once=once, as_json=as_json, demo=demo)))


async def _top(settings: QueueSettings, *, once: bool, as_json: bool, demo: bool) -> int:
    """Return the exit status; ended by a signal, as by q: a demo's fleet ends first."""
    watching = asyncio.ensure_future(_watch(settings, once=once, as_json=as_json, demo=demo))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, watching.cancel)
    try:
        return await watching
    except asyncio.CancelledError:
        return 0


async def _watch(settings: QueueSettings, *, once: bool, as_json: bool, demo: bool) -> int:
    async with AsyncExitStack() as stack:
        redis_url, namespace = settings.redis_url.get_secret_value(), settings.namespace
        try:
            if demo:
                redis_url = (await stack.enter_async_context(demo_fleet(namespace))).redis_url
            activities = await stack.enter_async_context(open_activities(redis_url, namespace))
        except (DemoError, QueueUnavailable) as error:
            sys.stderr.write(f"autobatch: {error}\n")
            return 1
        if as_json or once or not Console().is_terminal or Console().is_dumb_terminal:
            return await _print(activities, once=once, as_json=as_json, waits_for_load=demo)
        return await _draw(activities)


@asynccontextmanager
async def open_activities(redis_url: str, namespace: str) -> AsyncIterator[Activities]:
    """What the fleet of this namespace publishes.

    Raises:
        QueueUnavailable: Redis cannot be reached.
    """
    link = RedisLink(Master.from_url(redis_url, Keys(namespace)), "top")
    link.start()
    try:
        if not await link.wait_connected(CONNECT_S):
            raise QueueUnavailable(
                f"REDIS_URL: its Redis could not be reached ({words_of(link.fault or NO_ANSWER)}). `autobatch up` with a Redis of its own prints which address to give here "
                "(`watch`); of another one `autobatch doctor` says why"
            )
        yield Activities(link, namespace)
    finally:
        await link.close()


async def _print(activities: Activities, *, once: bool, as_json: bool, waits_for_load: bool) -> int:
    """Print one frame, or a line of JSON each second; of a demo only when its load has begun."""
    history = ChartHistory()
    while True:
        try:
            view = view_of(await activities.look())
        except QueueUnavailable as error:
            sys.stderr.write(f"autobatch: Redis is unavailable: {error}\n")
            if once:
                return 1
            await asyncio.sleep(LOOK_EVERY_S)  # it may come back, and a reader of the lines wants those that follow
            continue
        if waits_for_load and not view.batches:
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        history.add(view.chart)
        if as_json:
            sys.stdout.write(msgspec.json.encode(view).decode() + "\n")
        else:
            Console().print(frame(view, history, PIPE_WIDTH, PIPE_HEIGHT))
        sys.stdout.flush()
        if once:
            return 0
        await asyncio.sleep(LOOK_EVERY_S)


async def _draw(activities: Activities) -> int:
    history = ChartHistory()
    pressed_keys: asyncio.Queue[str] = asyncio.Queue()
    with keys_to(pressed_keys.put_nowait), Live(screen=True, auto_refresh=False) as live:
        while True:
            try:
                view = view_of(await activities.look())
            except QueueUnavailable:
                live.update("Redis is unavailable; asking again. q ends.", refresh=True)
            else:
                history.add(view.chart)
                live.update(frame(view, history, *live.console.size), refresh=True)
            try:
                key = await asyncio.wait_for(pressed_keys.get(), LOOK_EVERY_S)
            except TimeoutError:
                continue
            if key == "q":
                return 0
            if key in "+=-":
                history.zoom(1 if key == "-" else -1)
