"""`python -m tests.laws.real.tuned URL FOLDER`: what `autobatch tune` has predicted of a server, beside what real processes do before it.

FOLDER has `measured.json`, which `autobatch tune --out FOLDER` wrote. Redis, a worker and a batcher at its defaults are started; clients
send the same texts as it did, and directly again in the same minute, because what a shared machine can do changes.
"""

import asyncio
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from autobatch_batcher.advising.measured import Measured, TimedLoad
from autobatch_batcher.advising.prediction import expected_gain, find_law
from autobatch_batcher.advising.sample_texts import built_in_texts, shuffled
from autobatch_batcher.advising.timing import UpstreamTimer
from autobatch_batcher.app import replicas_of
from autobatch_shared.settings.definitions import BatcherSettings
from tests.laws.real.running import wait_healthy
from tests.support.processes import Process, free_port
from tests.support.servers.redis_server import RedisServer

CLIENTS = (16, 64)
LEARNING_S, WINDOW_S = 12.0, 3.0


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
    measured = msgspec.json.decode((folder / "measured.json").read_bytes(), type=Measured)
    found = find_law(measured)
    print("| clients | directly/s: tune | now | by the proxy/s: predicted | measured | gain: predicted | measured | |")
    print("|---|" + "--:|" * 7)
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
        await timed(ours, CLIENTS[-1], LEARNING_S)
        for clients in reversed(CLIENTS):
            before = await timed(url, clients, WINDOW_S)
            proxied = await timed(ours, clients, 2 * WINDOW_S)
            after = await timed(url, clients, WINDOW_S)
            direct = (before.inputs_per_s + after.inputs_per_s) / 2
            gain = expected_gain(found, measured, clients, BatcherSettings.model_construct())
            cells = [clients, f"{gain.direct_per_s:.0f}", f"{direct:.0f}", f"{gain.proxied_per_s:.0f}"]
            cells += [f"{proxied.inputs_per_s:.0f}", f"{gain.gain:.2f}", f"{proxied.inputs_per_s / direct:.2f}"]
            cells.append(f"{gain.gain * direct / proxied.inputs_per_s:.2f}")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
