"""The law that explains what single calls took. Pure.

A law has a structure (whether a pass is padded, how many inputs it has at most, where its knee is, where an input is cut, among how many cores it
is divided) and four prices: of a call, of a pass or of its parts, of an input, and of a unit. Where an undivided pass is a call the first two are one. For each structure the prices are those of least squares, of relative errors, none below zero.
A structure with more to it must explain more: see `STRUCTURE_EVIDENCE`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from math import exp, log, sqrt
from statistics import median

import msgspec

from autobatch_batcher.advising.measuring.measured import TimedCall
from autobatch_batcher.simulating.law import SimulatedLaw
from autobatch_batcher.simulating.workers import CALL_S

PASS_INPUTS = (0, 4, 8, 16)  # 0: a pass is a call; a call of 32 cannot tell passes of 32 from that
#: Passes that are made up ahead, and the inputs of a call that are in each pass which is made up as it comes; the first is the simplest.
MADE_UP = ((0, 0), (0, 1), (0, 2), (0, 4), (1, 0), (1, 1), (1, 2), (1, 4))
CORES = (2, 4, 8)  # that may compute parts of a call
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


def fit_law(calls: Sequence[TimedCall], cut_units: int = 0, said_inputs: int | None = None) -> FittedLaw:
    """Return the law that explains these calls best.

    Args:
        calls: Of different sizes and lengths.
        cut_units: Where inputs may be cut; 0: nowhere.
        said_inputs: The most inputs in a pass, as far as the server says that.
    """
    fits = [_priced(structure, calls) for structure in _structures(calls, cut_units, said_inputs)]
    best = max(fits, key=lambda each: each.evidence)
    return msgspec.structs.replace(best, law=replace(best.law, noise=_noise(calls), said_inputs=said_inputs or 0))


def predicted_s(law: SimulatedLaw, lengths: Sequence[int]) -> float:
    """Return what a call takes that has the server for itself, without noise."""
    prices = (
        (law.beside_ms + law.per_call_ms) / 1e3,
        law.fixed_ms / 1e3,
        law.per_input_us / 1e6,
        law.per_unit_us / 1e6,
    )
    return CALL_S + sum(price * amount for price, amount in zip(prices, _amounts(law, lengths), strict=True))


def _structures(calls: Sequence[TimedCall], cut_units: int, said_inputs: int | None) -> Iterator[SimulatedLaw]:
    inputs_max = max(len(call.lengths) for call in calls)
    sizes = sorted({sum(call.lengths) for call in calls})
    knees = {0, *(sizes[place * len(sizes) // (KNEES + 1)] for place in range(1, KNEES + 1))}
    for cut, is_padded in product({0, cut_units}, (True, False)):
        for knee in sorted(knees):
            yield SimulatedLaw(is_padded, cut_units=cut, knee_units=knee)
        for inputs in [each for each in PASS_INPUTS if each] if said_inputs is None else [said_inputs]:
            for ahead, first in MADE_UP if inputs < inputs_max else ():
                yield SimulatedLaw(
                    is_padded, cut_units=cut, pass_inputs_max=inputs, passes_ahead=ahead, first_inputs=first
                )
        # One that says how many inputs it computes at once has more of them in a pass only to divide it.
        for cores, size in product(CORES, sizes) if said_inputs is None or said_inputs >= inputs_max else ():
            yield SimulatedLaw(is_padded, cut_units=cut, cores=cores, part_units=size // cores)


def _priced(structure: SimulatedLaw, calls: Sequence[TimedCall]) -> FittedLaw:
    amounts = [_amounts(structure, call.lengths) for call in calls]
    seconds = [max(1e-6, call.usual_s - CALL_S) for call in calls]
    # Relative errors: what is to be explained is 1 for each call.
    rows = [tuple(amount / took for amount in own) for own, took in zip(amounts, seconds, strict=True)]
    prices = _least_squares(
        rows if structure.pass_inputs_max or structure.part_units else [(0.0, *row[1:]) for row in rows]
    )
    squares = sum((1 - sum(price * amount for price, amount in zip(prices, row, strict=True))) ** 2 for row in rows)
    structural = (
        structure.cut_units,
        structure.pass_inputs_max,
        structure.knee_units,
        structure.first_inputs,
        structure.part_units,
    )
    things = sum(map(bool, (*structural, structure.passes_ahead, *prices)))
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
    """The call itself, its passes or their parts, its inputs and their units above the knee."""
    passes = [law.busiest_core(each) for each in law.passes(lengths)]
    units = sum(max(0, units - law.knee_units) for _, units in passes)
    return 1.0, float(sum(parts for parts, _ in passes)), float(len(lengths)), float(units)


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
