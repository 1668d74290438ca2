"""`autobatch top --demo`: a fleet with a model that sleeps, and clients that come and go.

The model queues and pads as TEI does and needs no CPU, so what is seen is the batching, on any machine.
"""

import asyncio
import contextlib
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from autobatch_console.preflight.ports import choose
from autobatch_console.supervising.running import Running, start
from autobatch_console.up.parts import Part, Ready

START_S, STOP_S = 60.0, 60.0
CLIENTS_MIN, CLIENTS_MAX = 2, 160
WAVE_S = 40.0  # from few clients to many and back
WORDS = ["quick", "fox", "jumps", "lazy", "dog", "rain", "falls", "on", "old", "stone", "bridge"]
HOST = "127.0.0.1"
READY = "ready after"
LOOK_S = 0.1  # between two looks whether it is


class DemoError(Exception):
    """The fleet did not start; the text says what it printed last."""


@dataclass(frozen=True, slots=True)
class DemoFleet:
    """Where a running one is found: its Redis, and its workers."""

    redis_url: str
    url: str


@asynccontextmanager
async def demo_fleet(namespace: str) -> AsyncIterator[DemoFleet]:
    """Start a fleet and load on it; everything ends with the context."""
    folder = Path(tempfile.mkdtemp(prefix="autobatch-demo-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        port, model_port = choose(HOST, 3000, set()), choose(HOST, 8000, {3000})
        model = await _start("model", folder, "autobatch_bench.systems.tei_queue_upstream", str(model_port), "asyncio")
        stack.push_async_callback(model.stop)
        fleet = await _start(
            "fleet",
            folder,
            "autobatch_console",
            *("up", "--host", HOST, "--port", str(port), "--web-concurrency", "2", "--run-dir", str(folder / "run")),
            *("--inference-url", f"http://{HOST}:{model_port}", "--namespace", namespace, "--redis-url", ""),
        )
        stack.push_async_callback(fleet.stop)
        await _wait_ready(fleet, folder)
        url = f"http://{HOST}:{port}"
        load = asyncio.create_task(_load(f"{url}/embed"))
        stack.push_async_callback(_cancel, load)
        yield DemoFleet(f"unix://{folder}/run/redis.sock", url)


async def _start(name: str, folder: Path, module: str, *words: str) -> Running:
    part = Part(name, (sys.executable, "-P", "-m", module, *words), Ready("http"), "", stop_grace_s=STOP_S)
    with (folder / f"{name}.txt").open("wb") as output:
        # `up` ends what it has started when it is told to, and not when it is killed.
        return await start(replace(part, orphan_signal=signal.SIGTERM), os.environ, output)


async def _wait_ready(fleet: Running, folder: Path) -> None:
    ended = asyncio.create_task(fleet.wait())
    deadline_mono_s = time.monotonic() + START_S
    said = ""
    while not ended.done() and time.monotonic() < deadline_mono_s:
        said = (folder / "fleet.txt").read_text(encoding="utf-8", errors="replace")
        if READY in said:
            ended.cancel()
            return
        await asyncio.sleep(LOOK_S)
    ended.cancel()
    raise DemoError(f"the demo's fleet did not start:\n{said}")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _load(url: str) -> None:
    """Send from a number of clients that rises and falls; a client sends its next text when it has its answer."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    numbers = random.Random(7)  # noqa: S311  # lengths of texts
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS_MAX):
            tasks.create_task(_client(session, url, number, started_s, numbers))


def clients_at(passed_s: float) -> float:
    """Return how many clients send, so many seconds after the start."""
    wave = (1 - math.cos(2 * math.pi * passed_s / WAVE_S)) / 2
    return CLIENTS_MIN + (CLIENTS_MAX - CLIENTS_MIN) * wave**2


async def _client(
    session: aiohttp.ClientSession, url: str, number: int, started_s: float, numbers: random.Random
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        if number >= clients_at(loop.time() - started_s):
            await asyncio.sleep(0.2)
            continue
        text = " ".join(numbers.choices(WORDS, k=max(3, int(numbers.lognormvariate(2.8, 0.7)))))
        try:
            async with session.post(url, json={"inputs": text}) as answer:
                await answer.read()
        except aiohttp.ClientError:  # the fleet ends before its clients
            await asyncio.sleep(0.2)
