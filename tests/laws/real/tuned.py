"""`python -m tests.laws.real.tuned URL FOLDER`: what `autobatch tune` has predicted of a server, beside what real processes do before it.

FOLDER has `report.json`, which `autobatch tune --out FOLDER` wrote. Redis, a worker and a batcher at its defaults are started; clients
send the same texts as it did, and directly again in the same minute, because what a shared machine can do changes.
"""

import asyncio
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from autobatch_batcher.advising.measured import TimedLoad
from autobatch_batcher.advising.sample_texts import built_in_texts, shuffled
from autobatch_batcher.advising.timing import UpstreamTimer
from autobatch_batcher.app import replicas_of
from autobatch_shared.settings.definitions import BatcherSettings
from tests.laws.real.running import wait_healthy
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.redis_server import RedisServer

CLIENTS = (64, 16)
LEARNING_S, WINDOW_S = 12.0, 2.5
HEAD = "| clients | directly/s: tune | now | by the proxy/s: predicted | measured | gain: predicted | measured | |"


async def timed(url: str, clients: int, seconds: float) -> TimedLoad:
    """Return what so many clients get there."""
    async with AsyncExitStack() as stack:
        settings = BatcherSettings.model_construct(inference_url=url)
        replica = (await replicas_of(settings, stack))[0]
        await replica.prober.probe()
        timer = UpstreamTimer(replica, built_in_texts(), 60.0)
        return await timer.load(clients, [(place,) for seed in range(8) for place in shuffled(seed)], seconds)


async def main(url: str, folder: Path) -> None:
    """Print a row for each number of clients."""
    gains = {each["clients"]: each for each in msgspec.json.decode((folder / "report.json").read_bytes())["gains"]}
    print(HEAD, "|---|" + "--:|" * 7, sep="\n")
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        redis = RedisServer(home)
        redis.start()
        stack.callback(redis.kill)
        port = free_port()
        batcher = Process(home, "batcher", redis_url=redis.url, inference_url=url, batcher_port=0)
        stack.callback(batcher.close)
        proxy = Process(home, "proxy", host="127.0.0.1", port=port, web_concurrency=1, redis_url=redis.url)
        stack.callback(proxy.close)
        ours = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            await wait_healthy(session, ours)
        await timed(ours, CLIENTS[0], LEARNING_S)
        for clients in CLIENTS:
            before = await timed(url, clients, WINDOW_S)
            proxied = await timed(ours, clients, 2 * WINDOW_S)
            after = await timed(url, clients, WINDOW_S)
            direct = (before.inputs_per_s + after.inputs_per_s) / 2
            print(row(clients, gains[clients], direct, proxied.inputs_per_s), flush=True)


def row(clients: int, gain: dict[str, float], direct: float, proxied: float) -> str:
    """Return what was predicted and what was measured, and the one gain by the other."""
    expected = gain["proxied_per_s"] / gain["direct_per_s"]
    rates = (gain["direct_per_s"], direct, gain["proxied_per_s"], proxied)
    gains = (expected, proxied / direct, expected * direct / proxied)
    return f"| {' | '.join([str(clients), *(f'{each:.0f}' for each in rates), *(f'{each:.2f}' for each in gains)])} |"


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
