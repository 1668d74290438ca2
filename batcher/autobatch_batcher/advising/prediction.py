"""What clients get directly and would get through the proxy: the batchers' own code in front of the law that was found.

The direct side is what was measured, as far as it was. The proxy's side is simulated, and scaled by what the law misses where as many calls
of as many texts are in flight as the batchers have: 64 clients slow a server down by their 64 calls, and the batchers make a few; one short
text after the other is faster than among long calls.

What the proxy costs is counted in multiples of what a request costs this process, which makes calls with the batcher's own code on the same
machine, beside the same server: a core that is slow, shared, or that has the server's data in its cache, is so for both.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import exp, log, log2, sqrt
from typing import NamedTuple

import msgspec

from autobatch_batcher.advising.direct_run import ListLoop, direct_score
from autobatch_batcher.advising.law_fit import drift, fit_law, predicted_s
from autobatch_batcher.advising.measuring.measured import CLIENTS, REFUSED_PAUSE_S, Measured, TimedLoad
from autobatch_batcher.advising.measuring.sample_texts import shuffled
from autobatch_batcher.advising.side_by_side_fit import direct_rate, fit_side_by_side
from autobatch_batcher.simulating.batchers import SimulatedFleet, run_batchers
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_batcher.simulating.score import Score, score
from autobatch_batcher.simulating.workers import PUSH_S, REPLY_S, WAKE_S
from autobatch_shared.settings.definitions import BatcherSettings

CYCLES = 8  # of the texts, each in an order of its own
REQUESTS, LEARNING_SHARE = 3000, 0.6
RUN_MIN_S, RUN_MAX_S = 15.0, 90.0
#: CPU time of a request in nginx, workers, batcher and Redis of `autobatch up`, in multiples of what it costs who calls the server directly, by
#: clients: before a server that sleeps, on two cores, twice each (7.2 and 7.1, 7.8 and 7.2, 5.6 and 5.6, 4.2 and 3.5, 2.9 and 2.9).
PROXY_CPU_TIMES = {1: 7.1, 4: 7.5, 16: 5.6, 64: 3.9, 256: 2.9}
PROCESSES = 3  # that work on a request at the same time as others: the batcher is a third of it
SIMULATED_WAY_S = PUSH_S + WAKE_S + REPLY_S
WEIGHT_MIN = 0.01
RANGE_MIN = 0.03  # of the gain, to both sides
# Half or twice: how many calls the server computes at a time is known up to the clients that were measured.
UNMEASURED = 1.0


class ExpectedGain(msgspec.Struct, frozen=True):
    """What so many clients get, each of which asks for one text after the other.

    Attributes:
        clients: How many.
        direct_per_s: Texts a second that they get directly.
        direct_p50_ms: Median of the latencies there.
        direct_p99_ms: What 99 of 100 take there at most.
        is_measured: Whether the direct side was measured, rather than simulated.
        proxied_per_s: Texts a second that they get through the proxy.
        proxied_p50_ms: Median of the latencies there.
        proxied_p99_ms: What 99 of 100 take there at most.
        batch: Mean texts of a call of the batcher's.
        calls: Mean calls of the batcher's in flight.
        cpu_ms: CPU time of a request in all processes of the proxy.
        refused: Share of the requests that the proxy refuses, to keep the target.
        low: The least that `gain` is likely to be.
        high: The most.
    """

    clients: int
    direct_per_s: float
    direct_p50_ms: float
    direct_p99_ms: float
    is_measured: bool
    proxied_per_s: float
    proxied_p50_ms: float
    proxied_p99_ms: float
    batch: float
    calls: float
    cpu_ms: float
    refused: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """How many times as many texts a second."""
        return self.proxied_per_s / self.direct_per_s


class FoundLaw(msgspec.Struct, frozen=True):
    """What the server's work costs.

    Attributes:
        law: The law; a unit is a character.
        call_error: What it misses usually of single calls, as a share.
        load_error: What it misses usually of the clients' rates, as a share.
        drift: By what factor the server was slower in one half of the measurement than in the other.
    """

    law: SimulatedLaw
    call_error: float
    load_error: float
    drift: float


def find_law(measured: Measured) -> FoundLaw:
    """Return the law that explains what was measured."""
    known = measured.tokens_max is not None and measured.characters_per_token is not None
    cut_units = round((measured.tokens_max or 0) * (measured.characters_per_token or 0)) if known else 0
    fitted = fit_law(measured.calls, cut_units, measured.pass_inputs_said)
    law = fit_side_by_side(fitted.law, measured.loads)
    misses = [_scale(law, measured, clients) for clients in CLIENTS if measured.single_loads(clients)]
    load_error = sqrt(sum((1 - miss) ** 2 for miss in misses) / len(misses))
    return FoundLaw(law, fitted.error, load_error, drift(measured.calls))


def expected_gain(found: FoundLaw, measured: Measured, clients: int, settings: BatcherSettings) -> ExpectedGain:
    """Return what so many clients gain.

    Args:
        found: What the server's work costs.
        measured: What was measured of it.
        clients: How many; of CLIENTS.
        settings: Those of the batcher.
    """
    simulated = _direct(found.law, clients, measured.lengths)
    direct = _direct_side(measured.single_loads(clients), simulated)
    cpu_ms = proxy_cpu_ms(measured, clients)
    proxied = _proxied_side(found.law, measured, clients, settings, direct.per_s, cpu_ms)
    if clients == 1:  # it waits for both, one after the other: what the law misses is the server's, and not the proxy's
        scale = 1 / (proxied.goodput / direct.per_s + 1 - proxied.goodput / simulated.goodput)
    elif direct.is_measured:
        scale = missed_at(found.law, measured.loads, proxied.calls, proxied.batch)
    else:  # the law misses nothing of what is simulated, too
        scale = 1.0
    missed = max(
        RANGE_MIN,
        sqrt(direct.spread * found.drift) - 1,
        abs(direct.per_s / simulated.goodput - 1) / 2,
        0.0 if direct.is_measured else UNMEASURED,
    )
    gain = scale * proxied.goodput / direct.per_s
    return ExpectedGain(
        clients=clients,
        direct_per_s=direct.per_s,
        direct_p50_ms=direct.p50_ms,
        direct_p99_ms=direct.p99_ms,
        is_measured=direct.is_measured,
        proxied_per_s=scale * proxied.goodput,
        proxied_p50_ms=proxied.p50_ms / scale,
        proxied_p99_ms=proxied.p99_ms / scale,
        batch=proxied.batch,
        calls=proxied.calls,
        cpu_ms=cpu_ms,
        refused=proxied.refused,
        low=gain / (1 + missed),
        high=gain * (1 + missed),
    )


class _Direct(NamedTuple):
    """What clients get directly: texts a second, latencies, and how much its windows differ, as a factor."""

    per_s: float
    p50_ms: float
    p99_ms: float
    spread: float
    is_measured: bool


def _direct_side(loads: Sequence[TimedLoad], simulated: Score) -> _Direct:
    """Return what these loads measured, or what is simulated where there are none."""
    if not loads:
        return _Direct(simulated.goodput, simulated.p50_ms, simulated.p99_ms, 1.0, is_measured=False)
    rates = [load.inputs_per_s for load in loads]
    p50_ms, p99_ms = (
        sum(each) / len(loads) for each in zip(*((load.p50_ms, load.p99_ms) for load in loads), strict=True)
    )
    return _Direct(sum(rates) / len(rates), p50_ms, p99_ms, max(rates) / min(rates), is_measured=True)


class _Proxied(NamedTuple):
    """What clients get through the proxy by the law alone; `calls` and `batch` are means, `refused` is a share."""

    goodput: float
    p50_ms: float
    p99_ms: float
    batch: float
    calls: float
    refused: float


def _proxied_side(
    law: SimulatedLaw, measured: Measured, clients: int, settings: BatcherSettings, direct_per_s: float, cpu_ms: float
) -> _Proxied:
    """Simulate the batcher before the server, with the CPU time that a request costs the proxy."""
    lists = _lists(measured.lengths)
    seconds = _seconds(law, clients, lists)
    # One after the other, the processes work on a request for as long as they need for it. The server of a lone client has nothing to do meanwhile.
    shared = law if clients == 1 else sharing_cores(law, measured, clients, direct_per_s, cpu_ms)
    # Of those that are answered together one comes after the other for the same reason, on as many cores as there are processes to use them.
    way_s, at_once = max(0.0, cpu_ms / 1e3 - SIMULATED_WAY_S), min(PROCESSES, measured.cores or PROCESSES)
    fleet = SimulatedFleet(
        settings, longer_way_s=way_s, apart_s=cpu_ms / 1e3 / at_once, refused_pause_s=REFUSED_PAUSE_S
    )
    history = run_batchers(shared, ListLoop(clients, lists), fleet, seconds)
    seen = score(history, LEARNING_SHARE * seconds, seconds)
    refused = seen.failed / max(1.0, seen.failed + seen.goodput * (1 - LEARNING_SHARE) * seconds)
    return _Proxied(seen.goodput, seen.p50_ms, seen.p99_ms, seen.batch, history.calls_s / seconds, refused)


@lru_cache(maxsize=len(CLIENTS))
def _direct(law: SimulatedLaw, clients: int, lengths: tuple[int, ...]) -> Score:
    """Return what clients get directly by the law that was found; the error of the law and the gain both ask for it."""
    lists = _lists(lengths)
    return direct_score(law, clients, lists, _seconds(law, clients, lists))


def _scale(law: SimulatedLaw, measured: Measured, clients: int) -> float:
    """Return how much more was measured than the law says."""
    loads = measured.single_loads(clients)
    mean = sum(load.inputs_per_s for load in loads) / len(loads)
    return mean / _direct(law, clients, measured.lengths).goodput


def _seconds(law: SimulatedLaw, clients: int, lists: list[tuple[int, ...]]) -> float:
    """How long a run is, so that it has enough requests and is not endless."""
    mean_s = sum(predicted_s(law, each) for each in lists) / len(lists)
    return min(RUN_MAX_S, max(RUN_MIN_S, (REQUESTS + 10 * clients) * mean_s / law.parallel))


def _lists(lengths: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The lengths of the clients' requests: some cycles of the texts."""
    return [(lengths[place],) for cycle in range(CYCLES) for place in shuffled(100 + cycle)]


def missed_at(law: SimulatedLaw, loads: Sequence[TimedLoad], calls: float, batch: float) -> float:
    """Return how much more was measured than the law says where about so many calls of so many texts were in flight; loads as near count as much."""
    weights, logs = 0.0, 0.0
    for load in loads:
        apart = log2(load.clients / max(1.0, calls)), log2(len(load.lists[0]) / max(1.0, batch))
        weight = exp(-sum(each**2 for each in apart) / 2)
        if weight < WEIGHT_MIN:
            continue  # simulating it would take long
        weights += weight
        logs += weight * log(load.inputs_per_s / direct_rate(law, load))
    return exp(logs / weights) if weights else 1.0


def proxy_cpu_ms(measured: Measured, clients: int) -> float:
    """Return the CPU time of a request in all processes of the proxy, milliseconds; 0: this process's own was not measured."""
    loads = measured.single_loads(clients) or [load for load in measured.loads if load.is_single]
    return PROXY_CPU_TIMES[clients] * sum(load.own_cpu_ms for load in loads) / len(loads) if loads else 0.0


def sharing_cores(
    law: SimulatedLaw, measured: Measured, clients: int, direct_per_s: float, cpu_ms: float
) -> SimulatedLaw:
    """Return the law where the proxy takes so much CPU time a request from the server: on its own machine, beyond what is idle there."""
    idle = [load.idle for load in measured.single_loads(clients) if load.idle is not None]
    if measured.cores is None or not idle:
        return law
    idle_ms = 1000 * measured.cores * (sum(idle) / len(idle)) / direct_per_s  # of CPU, a request
    taken_ms = max(0.0, cpu_ms - idle_ms) / measured.cores
    return replace(law, per_input_us=law.per_input_us + 1000 * taken_ms)
