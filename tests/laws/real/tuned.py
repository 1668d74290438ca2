"""`python -m tests.laws.real.tuned URL [SECONDS [CLIENTS...]]`: what `autobatch tune` predicts of a server, beside what real processes do before it.

The server is measured as `autobatch tune` does it; then `autobatch up` stands before it with its defaults, and in the same
minute clients ask it directly and through the proxy by turns, because what a shared machine can do changes. For each number of
clients the batcher learns first, for a prediction is of one that has. What was seen is written to WRITTEN, and without a URL read from there.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from autobatch_batcher.advising.measured import Measured, TimedLoad
from autobatch_batcher.advising.prediction import expected_gain, find_law
from autobatch_batcher.advising.sample_texts import built_in_texts, shuffled
from autobatch_batcher.advising.timing import UpstreamTimer, measure
from autobatch_batcher.app import replicas_of
from autobatch_shared.settings.definitions import BatcherSettings
from tests.laws.real.running import wait_healthy
from tests.servers.matrix.system import UpProcess

LEARNING_S, TUNE_S, WINDOW_S = 10.0, 20.0, 2.5
CLIENTS_SEEN = (1, 16, 64, 256)
TURNS = (True, False, False, True)  # whether a window is the server's own
HEAD = "| clients | directly/s: tune | now | by the proxy/s: predicted | measured | gain: predicted | measured | |"
WRITTEN = Path(os.environ.get("WRITTEN", "run/tuned.json"))


class SeenGain(msgspec.Struct, frozen=True):
    """What so many clients got, texts a second."""

    clients: int
    direct_per_s: float
    proxied_per_s: float


class Seen(msgspec.Struct, frozen=True):
    """What was measured in one minute."""

    measured: Measured
    gains: tuple[SeenGain, ...]


async def timed(url: str, clients: int, seconds: float) -> TimedLoad:
    """Return what so many clients get there."""
    async with AsyncExitStack() as stack:
        settings = BatcherSettings.model_construct(inference_url=url)
        replica = (await replicas_of(settings, stack))[0]
        await replica.prober.probe()
        timer = UpstreamTimer(replica, built_in_texts(), 60.0)
        return await timer.load(clients, [(place,) for seed in range(8) for place in shuffled(seed)], seconds)


async def see(url: str, seconds: float, clients: Sequence[int]) -> Seen:
    """Measure the server as `autobatch tune` does, and what clients gain through real processes."""
    with ExitStack() as stack:
        up = UpProcess(Path(stack.enter_context(TemporaryDirectory())), inference_url=url)
        stack.callback(up.close)
        async with aiohttp.ClientSession() as session:
            await wait_healthy(session, up.url)
        settings = BatcherSettings.model_construct(inference_url=url)
        measured = await measure(settings, built_in_texts(), seconds, lambda line: print(line, file=sys.stderr))
        return Seen(
            measured,
            tuple([await _gain(url, up.url, each) for each in clients if measured.single_loads(each)]),
        )


async def _gain(url: str, ours: str, clients: int) -> SeenGain:
    await timed(ours, clients, LEARNING_S if clients > 1 else WINDOW_S)
    rates: dict[bool, list[float]] = {True: [], False: []}
    for is_direct in TURNS:
        load = await timed(url if is_direct else ours, clients, WINDOW_S)
        rates[is_direct].append(load.inputs_per_s)
    direct, proxied = (sum(each) / len(each) for each in (rates[True], rates[False]))
    return SeenGain(clients, direct, proxied)


def report(seen: Seen) -> None:
    """Print a row for each number of clients: what was predicted and what was measured, and the one gain by the other."""
    settings = BatcherSettings.model_construct(inference_url=seen.measured.url)
    found = find_law(seen.measured)
    print(HEAD, "|---|" + "--:|" * 7, sep="\n")
    for each in seen.gains:
        gain = expected_gain(found, seen.measured, each.clients, settings)
        measured = each.proxied_per_s / each.direct_per_s
        rates = (gain.direct_per_s, each.direct_per_s, gain.proxied_per_s, each.proxied_per_s)
        gains = (gain.gain, measured, gain.gain / measured)
        figures = [str(each.clients), *(f"{rate:.0f}" for rate in rates), *(f"{one:.2f}" for one in gains)]
        print(f"| {' | '.join(figures)} |", flush=True)


def main(words: list[str]) -> None:
    """Measure, keep what was seen, and report."""
    if words:
        url, seconds, *clients = [*words, str(TUNE_S)][: max(2, len(words))]
        seen = asyncio.run(see(url, float(seconds), tuple(map(int, clients)) or CLIENTS_SEEN))
        WRITTEN.parent.mkdir(parents=True, exist_ok=True)
        WRITTEN.write_bytes(msgspec.json.encode(seen))
        if os.environ.get("ONLY_SEE"):
            return
    report(msgspec.json.decode(WRITTEN.read_bytes(), type=Seen))


if __name__ == "__main__":
    main(sys.argv[1:])
