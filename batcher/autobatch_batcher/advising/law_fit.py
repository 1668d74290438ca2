"""The law that explains what single calls took. Pure.

A law has a structure (whether a pass is padded, how many inputs it has at most, where its knee is, where an input is cut) and four prices:
of a call, of a pass, of an input, and of a unit. Where a pass is a call the first two are one. For each structure the prices are those of least squares, of relative errors, none below zero.
A structure with more to it must explain more: see `STRUCTURE_EVIDENCE`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from math import exp, log, sqrt
from statistics import median

import msgspec

from autobatch_batcher.advising.measured import TimedCall
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_batcher.simulating.workers import CALL_S

PASS_INPUTS = (0, 4, 8, 16)  # 0: a pass is a call; a call of 32 cannot tell passes of 32 from that
KNEES = 6  # sizes of calls that are tried as the knee
ERROR_MIN = 0.03  # of what a call takes: laws that are both as near are equal
STRUCTURE_EVIDENCE = 3.0  # e^3 to one, for each thing that a structure has beyond the simplest
NOISE_MAX = 1.0
NORMAL_PER_MAD = 1.4826  # sigma of normal noise, of its median distance from the median


class FittedLaw(msgspec.Struct, frozen=True):
    """A law, and how well it explains.

    Attributes:
        law: The law; a unit is a character.
        error: What it misses usually: the root of the mean square of relative errors.
        evidence: Higher is better: the logarithm of a likelihood, less what its structure has too much.
    """

    law: SimulatedLaw
    error: float
    evidence: float


def fit_law(calls: Sequence[TimedCall], cut_units: int = 0) -> FittedLaw:
    """Return the law that explains these calls best.

    Args:
        calls: Of different sizes and lengths.
        cut_units: Where inputs may be cut; 0: nowhere.
    """
    fits = [_priced(structure, calls) for structure in _structures(calls, cut_units)]
    best = max(fits, key=lambda each: each.evidence)
    return msgspec.structs.replace(best, law=replace(best.law, noise=_noise(calls)))


def predicted_s(law: SimulatedLaw, lengths: Sequence[int]) -> float:
    """Return what a call takes that has the server for itself, without noise."""
    prices = (law.beside_ms / 1e3, law.fixed_ms / 1e3, law.per_input_us / 1e6, law.per_unit_us / 1e6)
    return CALL_S + sum(price * amount for price, amount in zip(prices, _amounts(law, lengths), strict=True))


def _structures(calls: Sequence[TimedCall], cut_units: int) -> Iterator[SimulatedLaw]:
    sizes = sorted({sum(call.lengths) for call in calls})
    knees = {0, *(sizes[place * len(sizes) // (KNEES + 1)] for place in range(1, KNEES + 1))}
    for cut in {0, cut_units}:
        for is_padded in (True, False):
            for pass_inputs in PASS_INPUTS:
                for knee in sorted(knees) if not pass_inputs else (0,):
                    yield SimulatedLaw(is_padded, cut_units=cut, pass_inputs_max=pass_inputs, knee_units=knee)


def _priced(structure: SimulatedLaw, calls: Sequence[TimedCall]) -> FittedLaw:
    amounts = [_amounts(structure, call.lengths) for call in calls]
    seconds = [max(1e-6, call.usual_s - CALL_S) for call in calls]
    # Relative errors: what is to be explained is 1 for each call.
    rows = [tuple(amount / took for amount in own) for own, took in zip(amounts, seconds, strict=True)]
    prices = _least_squares(rows if structure.pass_inputs_max else [(0.0, *row[1:]) for row in rows])
    squares = sum((1 - sum(price * amount for price, amount in zip(prices, row, strict=True))) ** 2 for row in rows)
    things = sum(map(bool, (structure.cut_units, structure.pass_inputs_max, structure.knee_units, *prices)))
    evidence = -len(calls) / 2 * log(squares / len(calls) + ERROR_MIN**2) - STRUCTURE_EVIDENCE * things
    beside_s, fixed_s, per_input_s, per_unit_s = prices
    law = replace(
        structure,
        beside_ms=1e3 * beside_s,
        fixed_ms=1e3 * fixed_s,
        per_input_us=1e6 * per_input_s,
        per_unit_us=1e6 * per_unit_s,
    )
    return FittedLaw(law, sqrt(squares / len(calls)), evidence)


def _amounts(law: SimulatedLaw, lengths: Sequence[int]) -> tuple[float, ...]:
    """The call itself, its passes, its inputs and their units above the knee."""
    passes = law.passes(lengths)
    units = sum(max(0, law.units(each) - law.knee_units) for each in passes)
    return 1.0, float(len(passes)), float(len(lengths)), float(units)


def _least_squares(rows: Sequence[tuple[float, ...]]) -> list[float]:
    """Return the prices, none below zero, by which each row comes nearest to 1: the best of all subsets of prices."""
    columns = len(rows[0])
    best, least = [0.0] * columns, float("inf")
    for size in range(1, columns + 1):
        for chosen in combinations(range(columns), size):
            solved = _solve(
                [[sum(row[i] * row[j] for row in rows) for j in chosen] for i in chosen],
                [sum(row[i] for row in rows) for i in chosen],
            )
            if solved is None or min(solved) < 0:
                continue
            prices = [0.0] * columns
            for place, price in zip(chosen, solved, strict=True):
                prices[place] = price
            squares = sum((1 - sum(p * x for p, x in zip(prices, row, strict=True))) ** 2 for row in rows)
            if squares < least - ERROR_MIN**2:
                best, least = prices, squares
    return best


def _solve(matrix: list[list[float]], values: list[float]) -> list[float] | None:
    """Solve equations by Gauss and Jordan; None where they have no single solution."""
    rows = [[*row, value] for row, value in zip(matrix, values, strict=True)]
    scale = max(map(max, matrix))
    if not scale:
        return None
    for place in range(len(rows)):
        pivot = max(range(place, len(rows)), key=lambda each: abs(rows[each][place]))
        if abs(rows[pivot][place]) <= 1e-12 * scale:
            return None
        rows[place], rows[pivot] = rows[pivot], rows[place]
        rows[place] = [value / rows[place][place] for value in rows[place]]
        for other in range(len(rows)):
            if other != place:
                factor = rows[other][place]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[place], strict=True)]
    return [row[-1] for row in rows]


def _noise(calls: Sequence[TimedCall]) -> float:
    """Sigma of the logarithm of what equal calls took."""
    distances = [
        abs(log(seconds / call.usual_s)) for call in calls if len(call.seconds) > 2 for seconds in call.seconds
    ]
    return min(NOISE_MAX, NORMAL_PER_MAD * median(distances)) if distances else 0.0


def drift(calls: Sequence[TimedCall]) -> float:
    """Return by what factor the server was slower in one half of the time than in the other, at least 1."""
    halves = [
        log(median(call.seconds[: len(call.seconds) // 2]) / median(call.seconds[len(call.seconds) // 2 :]))
        for call in calls
        if len(call.seconds) > 3
    ]
    return exp(abs(median(halves))) if halves else 1.0
