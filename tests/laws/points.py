"""The points at which the batchers' defaults are judged: each law with each kind of traffic.

`batches itself` says how many inputs a pass has, as TEI does; `unsaid passes` is the same without that.

Lengths are characters: 110 is the median of real traffic, a token is about four. 55 us a token of MiniLM on two cores is 13 us a
character.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from autobatch_batcher.simulating.clients import ClosedLoop, SimulatedRequest, SimulatedTraffic, TimedArrivals
from tests.laws.changing_loop import ChangingLoop

SEED = 20_261_122
LEARNING_S = 15.0  # is reported, and not judged
JUDGED_S = 10.0
RUN_S = LEARNING_S + JUDGED_S

LAWS = {
    "padded": "padded:fixed_ms=1.5,per_unit_us=13",
    "unpadded": "unpadded:fixed_ms=20,per_unit_us=1.5",
    "knee": "padded:fixed_ms=15,per_unit_us=4,knee_units=4096",
    "two at once": "padded:fixed_ms=4,per_unit_us=20,parallel=2",
    "noisy": "padded:fixed_ms=4,per_unit_us=13,noise=0.5",
    "slow start": "padded:fixed_ms=4,per_unit_us=13,slow_passes=10,slow_times=10",
    "refusing": "unpadded:fixed_ms=10,per_unit_us=6,in_flight_inputs_max=24",
    "batches itself": "padded:fixed_ms=2,per_unit_us=5,pass_inputs_max=8",
    "serial": "unpadded:fixed_ms=0.5,per_unit_us=13",
    "four at once": "unpadded:fixed_ms=20,per_unit_us=12,parallel=4",
    "halves": "padded:fixed_ms=3,per_unit_us=6,changes_at_s=10,changed_times=2",
    "multiples": "padded:fixed_ms=4,per_unit_us=8,multiple=256",
    "unsaid passes": "padded:fixed_ms=2,per_unit_us=5,pass_inputs_max=8,said_inputs=0",
    "many at once": "unpadded:fixed_ms=1,per_input_us=20000,parallel=32",
}

CLOSED_MOST, AFTER_OTHERS = "closed 256", "after others"
TRAFFICS = ("closed 4", "closed 64", CLOSED_MOST, "poisson", "bursts", "bulk", AFTER_OTHERS)
OPEN = {"poisson": 0.8, "bursts": 0.6}  # mean rate, of what the best fixed policy answers in `closed 256`
CHANGES_AT_S = LEARNING_S - 1.0  # in `after others`: what was learnt before is of other traffic
BURST_EVERY_S, BURST_S, BURST_TIMES = 2.0, 0.2, 10.0


class LawPoint(NamedTuple):
    """A law with a kind of traffic."""

    law: str
    traffic: str

    @property
    def name(self) -> str:
        """Its name in lists."""
        return f"{self.law} / {self.traffic}"


POINTS = [LawPoint(law, traffic) for law in LAWS for traffic in TRAFFICS]


def log_normal(seed: int) -> Iterator[int]:
    """Yield lengths as in real traffic: most are short, a few very long."""
    chance = Random(seed)
    while True:
        yield min(1650, max(4, int(110 * chance.lognormvariate(0, 1.0))))


def short(seed: int) -> Iterator[int]:
    """Yield lengths of queries alone."""
    chance = Random(seed)
    while True:
        yield chance.randint(15, 60)


def bimodal(seed: int) -> Iterator[int]:
    """Yield lengths of queries and passages: four of five are short."""
    chance = Random(seed)
    while True:
        yield chance.randint(900, 1300) if chance.random() < 0.2 else chance.randint(30, 90)


def traffic_of(kind: str, capacity: float) -> SimulatedTraffic:
    """Return the traffic of a kind; `capacity`, inputs a second, is needed for an open loop."""
    match kind:
        case "closed 4":
            return ClosedLoop(4, log_normal(SEED))
        case "closed 64":
            return ClosedLoop(64, bimodal(SEED))
        case "closed 256":
            return ClosedLoop(256, log_normal(SEED))
        case "bulk":
            return ClosedLoop(16, bimodal(SEED), bulk_clients=2)
        case name if name == AFTER_OTHERS:
            return ChangingLoop(ClosedLoop(256, short(SEED)), ClosedLoop(16, log_normal(SEED)), CHANGES_AT_S)
    return open_traffic(kind, OPEN[kind] * capacity)


def open_traffic(kind: str, per_s: float) -> SimulatedTraffic:
    """Return requests that arrive by themselves, `per_s` of them a second."""
    lengths = log_normal(SEED)
    return TimedArrivals([(at_s, SimulatedRequest((next(lengths),))) for at_s in arrivals_s(kind, per_s)])


def arrivals_s(kind: str, per_s: float) -> Iterator[float]:
    """Yield the times of a Poisson process; with bursts its rate is ten times as high for a tenth of the time."""
    chance, at_s = Random(SEED), 0.0
    burst_share = BURST_S / BURST_EVERY_S
    calm_per_s = per_s / (1 - burst_share + burst_share * BURST_TIMES)
    peak_per_s = per_s if kind == "poisson" else BURST_TIMES * calm_per_s
    while at_s < RUN_S:
        at_s += chance.expovariate(peak_per_s)
        is_burst = at_s % BURST_EVERY_S >= BURST_EVERY_S - BURST_S
        if kind == "poisson" or is_burst or chance.random() < calm_per_s / peak_per_s:
            yield at_s
