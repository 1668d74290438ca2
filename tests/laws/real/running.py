"""A point with real processes: Redis, a worker, a batcher at its defaults, and an upstream that sleeps."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import orjson

from autobatch_batcher.simulating.clients import RunHistory, SimulatedClients, SimulatedRequest, SimulatedTraffic
from autobatch_batcher.simulating.score import Score, score
from tests.laws.points import LEARNING_S, RUN_S
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.redis_server import RedisServer

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
START_S = 20.0


def run_real(laws: Sequence[str], traffic: SimulatedTraffic, **settings: object) -> Score:
    """Return what the real processes did, once they had learnt: one upstream for each law. The settings are those of the batcher."""
    return asyncio.run(_run(laws, traffic, settings))


async def _run(laws: Sequence[str], traffic: SimulatedTraffic, settings: dict[str, object]) -> Score:
    with _processes(laws, settings) as url:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await wait_healthy(session, url)
            return score(await _ask(session, url, traffic), LEARNING_S, RUN_S)


@contextmanager
def _processes(laws: Sequence[str], settings: dict[str, object]) -> Iterator[str]:
    """Start all; yield the worker's URL."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        redis = RedisServer(folder)
        redis.start()
        stack.callback(redis.kill)
        inference_url = ",".join([_start_upstream(stack, law) for law in laws])
        batcher = Process(
            folder, "batcher", redis_url=redis.url, inference_url=inference_url, batcher_port=0, **settings
        )
        stack.callback(batcher.close)
        port = free_port()
        proxy = Process(folder, "proxy", host="127.0.0.1", port=port, web_concurrency=1, redis_url=redis.url)
        stack.callback(proxy.close)
        yield f"http://127.0.0.1:{port}"


def _start_upstream(stack: ExitStack, law: str) -> str:
    port = free_port()
    upstream = subprocess.Popen([sys.executable, "-m", "tests.laws.real.sleeping_upstream", str(port), law], cwd=ROOT)
    stack.callback(upstream.wait)
    stack.callback(upstream.terminate)
    return f"http://127.0.0.1:{port}"


async def wait_healthy(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until the worker says that it is well."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                async with session.get(f"{url}/health") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def _ask(session: aiohttp.ClientSession, url: str, traffic: SimulatedTraffic) -> RunHistory:
    """Let the clients ask for as long as a run takes."""
    loop, history = asyncio.get_running_loop(), RunHistory()
    asking: set[asyncio.Task[None]] = set()
    serials, ends_s = iter(range(36**4)), loop.time() + RUN_S

    def ask(number: int, asked: SimulatedRequest) -> None:
        if loop.time() >= ends_s:
            return
        texts = [_text(next(serials), length) for length in asked.lengths]
        task = loop.create_task(post(number, texts, is_bulk=asked.is_bulk))
        asking.add(task)
        task.add_done_callback(asking.discard)

    async def post(number: int, texts: list[str], *, is_bulk: bool) -> None:
        headers = {"content-type": "application/json"} | ({"x-priority": "bulk"} if is_bulk else {})
        async with session.post(f"{url}/embed", data=orjson.dumps({"inputs": texts}), headers=headers) as answer:
            await answer.read()
        if answer.status == 200:
            clients.note_replied(len(texts))
        clients.answer(number, is_good=answer.status == 200)

    clients = SimulatedClients(traffic, loop.call_at, loop.time, ask, history)
    await asyncio.sleep(RUN_S)
    for task in tuple(asking):
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return history


def _text(serial: int, length: int) -> str:
    """A text of that length which no other has, so that none shares another's row."""
    name = ""
    for _ in range(4):
        serial, digit = divmod(serial, 36)
        name += DIGITS[digit]
    return name.ljust(length, "x")
