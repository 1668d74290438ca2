"""`python -m tests.monitoring calm [--minutes 60]`: the whole system under a light load, and each alert that was pending or fired.

`autobatch up` runs as it is, before the upstream that INFERENCE_URL names or its own; Prometheus has the configuration and the rules
that we deploy. The load is a few requests a second, and of each ten minutes one in which 64 clients send all they can. What becomes
pending, fires and ends is written as it is seen, with the machine's load. Exit status 1 if an alert fired or a request failed.
"""

import argparse
import asyncio
import itertools
import os
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.monitoring.prometheus import Prometheus, scraping
from tests.support.ports import free_port
from tests.support.waiting import wait_until

LIGHT_PER_S, BUSY_CLIENTS = 5.0, 64
CYCLE_S, BUSY_FROM_S, BUSY_S = 600.0, 240.0, 60.0
START_S, STOP_S, ANSWER_MAX_S = 120.0, 60.0, 35.0
LOOK_EVERY_S = 2.0

_serials = itertools.count()


class CalmClients:
    """What is sent, and how it was answered.

    Args:
        http: What they send with.
        url: Of the system.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/embed"
        self.outcomes: Counter[str] = Counter()

    async def send_lightly(self) -> None:
        """Send LIGHT_PER_S requests a second, whatever becomes of them."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._send())
                await asyncio.sleep(1 / LIGHT_PER_S)

    async def send_much_at_times(self) -> None:
        """Send from BUSY_CLIENTS at once for a minute of every ten."""
        while True:
            await asyncio.sleep(BUSY_FROM_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(BUSY_S), asyncio.TaskGroup() as group:
                    for _ in range(BUSY_CLIENTS):
                        group.create_task(self._send_for_ever())
            await asyncio.sleep(CYCLE_S - BUSY_FROM_S - BUSY_S)

    async def _send_for_ever(self) -> None:
        while True:
            await self._send()

    async def _send(self) -> None:
        serial = next(_serials)
        text = f"text {serial} of a calm hour" + " and some more words" * (serial % 7)
        try:
            async with self._http.post(self._url, json={"inputs": text}) as answer:
                await answer.read()
            self.outcomes[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.outcomes[type(error).__name__] += 1


async def watch(prometheus: Prometheus, until_s: float) -> Counter[str]:
    """Write each change of an alert until then, by the monotonic clock; return how often each was pending and fired."""
    seen: Counter[str] = Counter()
    before: dict[str, str] = {}
    while time.monotonic() < until_s:
        now = await prometheus.alerts()
        for name in sorted(now.keys() | before.keys()):
            state = now.get(name, "ended")
            if state.split()[0] != before.get(name, "ended").split()[0]:
                _write(f"{state:22} {name}   (machine: load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
                seen[f"{state.split()[0]} {name}"] += 1
        before = now
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


def _write(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())}  {line}\n")
    sys.stdout.flush()


async def see(minutes: float, folder: Path) -> bool:
    """Run it all in a new folder; return whether it was calm."""
    port, side_port = free_port(), free_port()
    with (folder / "up.log").open("wb") as log:
        up = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "autobatch_console", "up", "--port", str(port), "--batcher-port", str(side_port)),
            *("--embedder-port", "0", "--run-dir", str(folder / "run")),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        await wait_until(lambda: re.search("ready", (folder / "up.log").read_text()) is not None, START_S)
        jobs = {"autobatch-workers": [port], "autobatch-batchers": [side_port], "upstreams": [side_port]}
        limits = aiohttp.ClientTimeout(ANSWER_MAX_S)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limits) as http,
            scraping(jobs, http, folder / "prometheus") as prometheus,
        ):
            clients = CalmClients(http, f"http://127.0.0.1:{port}")
            sending = [asyncio.ensure_future(each) for each in (clients.send_lightly(), clients.send_much_at_times())]
            _write(f"began: port {port}, {prometheus.url}")
            seen = await watch(prometheus, time.monotonic() + minutes * 60)
            for each in sending:
                each.cancel()
            await asyncio.wait(sending)
        _write(f"ended: answers {dict(clients.outcomes)}; alerts {dict(seen) or 'none'}")
        return set(clients.outcomes) == {"200"} and not any(each.startswith("firing") for each in seen)
    finally:
        up.terminate()
        async with asyncio.timeout(STOP_S):
            await up.wait()


def main(arguments: list[str]) -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.monitoring calm")
    parser.add_argument("--minutes", type=float, default=60.0)
    with TemporaryDirectory(prefix="calm-") as folder:
        return 0 if asyncio.run(see(parser.parse_args(arguments).minutes, Path(folder))) else 1
