"""What a server does with calls that come together: how many it computes at a time, and whether it joins their inputs. Pure.

Single calls cannot show it. Each possibility is simulated for the clients that were measured, and the nearest one counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import log

import msgspec

from autobatch_batcher.advising.direct_run import direct_score
from autobatch_batcher.advising.measuring.measured import TimedLoad
from autobatch_batcher.simulating.law import SimulatedLaw

PARALLEL = (1, 2, 4, 8)
JOINED_INPUTS = (0, 4, 8, 16, 32, 64)
PASSES_AHEAD = (0, 1)
# Mean square of the logarithms of the errors by which more than the simplest has to be nearer: about 5 %.
MORE_EVIDENCE = 0.002
BESIDE_SHARES = (
    0.0,
    0.25,
    0.5,
    0.75,
)  # of what a call costs whatever it carries: what several calls wait for at the same time
CLIENTS_MAX = 64  # more find the same queue, and take longer to simulate
RUN_REQUESTS, RUN_MIN_S, RUN_MAX_S = 300, 1.0, 60.0


def fit_side_by_side(law: SimulatedLaw, loads: Sequence[TimedLoad]) -> SimulatedLaw:
    """Return the law with what explains these loads best.

    How calls share passes and how many passes there are at a time are looked for one after the other, in both orders: all
    pairs would take four times as long.
    """
    together = _together([load for load in loads if load.clients <= CLIENTS_MAX])

    def missed(candidate: SimulatedLaw) -> float:
        return mean_square(candidate, together) + MORE_EVIDENCE * _things(candidate)

    first, second = min(_sharing(law), key=missed), min(_parallel(law), key=missed)
    return min([*_parallel(first), *_sharing(second)], key=missed)


def mean_square(law: SimulatedLaw, loads: Sequence[TimedLoad]) -> float:
    """Return the mean square of the logarithms of the errors of its rates."""
    return sum(log(load.inputs_per_s / direct_rate(law, load)) ** 2 for load in loads) / len(loads)


def direct_rate(law: SimulatedLaw, load: TimedLoad) -> float:
    """Return the inputs a second that the law predicts for a measured load."""
    per_request = len(load.lists[0])
    seconds = min(RUN_MAX_S, max(RUN_MIN_S, (RUN_REQUESTS * per_request + 2 * load.clients) / load.inputs_per_s))
    return direct_score(law, load.clients, load.lists, seconds).goodput or 1e-9


def _sharing(law: SimulatedLaw) -> Iterator[SimulatedLaw]:
    if law.pass_inputs_max:  # single calls have shown it, and what a call costs beside its passes
        # Whether passes are made up ahead they show only where a call's inputs come one after the other.
        aheads = (law.passes_ahead,) if law.first_inputs else PASSES_AHEAD
        for ahead, share in product(aheads, (1.0, *BESIDE_SHARES) if law.beside_ms else (1.0,)):
            beside_ms = share * law.beside_ms
            yield replace(law, passes_ahead=ahead, beside_ms=beside_ms, per_call_ms=law.beside_ms - beside_ms)
        return
    for joined in (0, law.said_inputs) if law.said_inputs else JOINED_INPUTS:
        for share, ahead in product(BESIDE_SHARES, PASSES_AHEAD if joined else (0,)):
            yield replace(
                law,
                pass_inputs_max=joined,
                passes_ahead=ahead,
                fixed_ms=(1 - share) * law.fixed_ms,
                beside_ms=law.beside_ms + share * law.fixed_ms,
            )


def _parallel(law: SimulatedLaw) -> Iterator[SimulatedLaw]:
    return (replace(law, parallel=parallel) for parallel in PARALLEL)


def _together(loads: Sequence[TimedLoad]) -> list[TimedLoad]:
    """Return one load of each kind, with the mean of the rates of all windows of it."""
    kinds: dict[tuple[int, int], list[TimedLoad]] = {}
    for load in loads:
        kinds.setdefault((load.clients, len(load.lists[0])), []).append(load)
    return [
        msgspec.structs.replace(same[0], inputs_per_s=sum(load.inputs_per_s for load in same) / len(same))
        for same in kinds.values()
    ]


def _things(law: SimulatedLaw) -> int:
    return sum(map(bool, (law.parallel > 1, law.pass_inputs_max, law.beside_ms, law.per_call_ms, law.passes_ahead)))
