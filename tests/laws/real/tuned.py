"""`python -m tests.laws.real.tuned WORD ...`: what `autobatch tune` predicts of a server, beside what real processes do before it.

    measure URL [SECONDS]      as `autobatch tune` does it
    gain URL CLIENTS ...       what so many clients get directly and, by turns, through `autobatch up` with its defaults
    report                     one beside the other

Each takes less than a minute, or half a minute for each number of clients, and adds to what is in FOLDER. The batcher learns first, for a
prediction is of one that has.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from autobatch_batcher.advising.measuring.measured import Measured, TimedLoad
from autobatch_batcher.advising.measuring.measurement import measure
from autobatch_batcher.advising.measuring.sample_texts import built_in_texts, shuffled
from autobatch_batcher.advising.measuring.upstream_timer import UpstreamTimer
from autobatch_batcher.advising.prediction import expected_gain, find_law
from autobatch_batcher.app import replicas_of
from autobatch_bench.systems.process_stats import children, cpu_seconds
from autobatch_shared.settings.definitions import BatcherSettings
from tests.laws.real.running import wait_healthy
from tests.servers.matrix.system import UpProcess
from tests.support.ports import free_port

FOLDER = Path(os.environ.get("FOLDER", "run/tuned"))
TUNE_S, LEARNING_S, ALONE_S, WINDOW_S = 55.0, 10.0, 2.0, 4.0
TURNS = (True, False, False, True)  # whether a window is the server's own
HEAD = (
    "| clients | directly/s: tune | now | by the proxy/s: predicted | measured | gain: predicted | measured | predicted / measured "
    "| texts a call: predicted | measured | calls at a time: predicted | measured | CPU ms a request: predicted | measured |"
)
COUNTED = {
    "autobatch_batch_inputs_sum": "inputs",
    "autobatch_batch_inputs_count": "calls",
    "autobatch_upstream_call_seconds_sum": "calls_s",
}


class SeenGain(msgspec.Struct, frozen=True):
    """What so many clients got.

    Attributes:
        clients: How many.
        direct_per_s: Texts a second of each window in which they asked the server.
        proxied_per_s: Of each in which they asked the proxy.
        batch: Texts in a call of the batcher's.
        calls: Its calls in flight.
        cpu_ms: CPU time of a request in all processes of the proxy.
    """

    clients: int
    direct_per_s: tuple[float, ...]
    proxied_per_s: tuple[float, ...]
    batch: float
    calls: float
    cpu_ms: float

    @property
    def gain(self) -> float:
        """How many times as many texts a second."""
        return mean(self.proxied_per_s) / mean(self.direct_per_s)


class WatchedUp:
    """`autobatch up` before a server, and what it counts.

    Args:
        folder: Where its files go.
        url: The server.
        metrics_port: Where its batcher shows what it counts.
    """

    def __init__(self, folder: Path, url: str, metrics_port: int) -> None:
        self.process = UpProcess(folder, batcher_port=metrics_port, inference_url=url)
        self._metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"

    async def counted(self, session: aiohttp.ClientSession) -> dict[str, float]:
        """Return what its batcher has counted, and the CPU seconds of all of its processes."""
        async with session.get(self._metrics_url) as answer:
            lines = [line.rpartition(" ") for line in (await answer.text()).splitlines() if not line.startswith("#")]
        found = dict.fromkeys(COUNTED.values(), 0.0)
        for name, _, value in lines:
            if (word := COUNTED.get(name.partition("{")[0])) is not None:
                found[word] += float(value)
        return found | cpu_seconds({"cpu_s": _family(self.process.pid)})


def _family(pid: int) -> list[int]:
    return [pid, *(each for child in children(pid) for each in _family(child))]


async def _timer(url: str, stack: AsyncExitStack) -> UpstreamTimer:
    replica = (await replicas_of(BatcherSettings.model_construct(inference_url=url), stack))[0]
    await replica.prober.probe()
    return UpstreamTimer(replica, built_in_texts(), 60.0)


async def see(url: str, numbers: Sequence[int]) -> None:
    """Write what so many clients get, one number after the other."""
    shapes: list[tuple[int, ...]] = [(place,) for seed in range(8) for place in shuffled(seed)]
    async with AsyncExitStack() as stack:
        up = WatchedUp(Path(stack.enter_context(TemporaryDirectory())), url, free_port())
        stack.callback(up.process.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await wait_healthy(session, up.process.url)
        direct, proxied = await _timer(url, stack), await _timer(up.process.url, stack)
        for clients in numbers:
            await proxied.load(clients, shapes, LEARNING_S if clients > 1 else ALONE_S)
            loads: dict[bool, list[TimedLoad]] = {True: [], False: []}
            seconds, counted = 0.0, dict.fromkeys((*COUNTED.values(), "cpu_s"), 0.0)
            for is_direct in TURNS:
                before, began_s = await up.counted(session), asyncio.get_running_loop().time()
                loads[is_direct].append(await (direct if is_direct else proxied).load(clients, shapes, WINDOW_S))
                if not is_direct:
                    seconds += asyncio.get_running_loop().time() - began_s
                    after = await up.counted(session)
                    counted = {name: value + after[name] - before[name] for name, value in counted.items()}
            _write(clients, loads, counted, seconds)


def _write(
    clients: int, loads: Mapping[bool, Sequence[TimedLoad]], counted: Mapping[str, float], seconds: float
) -> None:
    rates = {is_direct: tuple(load.inputs_per_s for load in each) for is_direct, each in loads.items()}
    seen = SeenGain(
        clients,
        rates[True],
        rates[False],
        batch=counted["inputs"] / counted["calls"],
        calls=counted["calls_s"] / seconds,
        cpu_ms=1000 * counted["cpu_s"] / counted["inputs"],
    )
    print(seen, f"gain {seen.gain:.2f}", flush=True)
    with (FOLDER / "gains.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(seen) + b"\n")


def report() -> None:
    """Print a row for each number of clients and each time that they were seen."""
    measured = msgspec.json.decode((FOLDER / "measured.json").read_bytes(), type=Measured)
    settings = BatcherSettings.model_construct(inference_url=measured.url)
    found = find_law(measured)
    print(HEAD, "|---|" + "--:|" * 13, sep="\n")
    for line in (FOLDER / "gains.jsonl").read_bytes().splitlines():
        seen = msgspec.json.decode(line, type=SeenGain)
        expected = expected_gain(found, measured, seen.clients, settings)
        rates = (expected.direct_per_s, mean(seen.direct_per_s), expected.proxied_per_s, mean(seen.proxied_per_s))
        gains = (expected.gain, seen.gain, expected.gain / seen.gain)
        calls = (expected.batch, seen.batch, expected.calls, seen.calls, expected.cpu_ms, seen.cpu_ms)
        figures = [str(seen.clients), *(f"{rate:.0f}" for rate in rates), *(f"{one:.2f}" for one in (*gains, *calls))]
        print(f"| {' | '.join(figures)} |", flush=True)


def main(words: list[str]) -> None:
    """Do what the first word says."""
    word, *rest = words
    FOLDER.mkdir(parents=True, exist_ok=True)
    if word == "measure":
        url, seconds = [*rest, str(TUNE_S)][:2]
        settings = BatcherSettings.model_construct(inference_url=url)
        told = asyncio.run(measure(settings, built_in_texts(), float(seconds), lambda line: print(line, flush=True)))
        (FOLDER / "measured.json").write_bytes(msgspec.json.encode(told))
    elif word == "gain":
        asyncio.run(see(rest[0], tuple(map(int, rest[1:]))))
    else:
        report()


if __name__ == "__main__":
    main(sys.argv[1:])
