"""Ways to divide the cores among forward passes, and which of them is best. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Division:
    """Forward passes at the same time, and threads of a pass that runs alone."""

    workers: int
    threads: int

    def threads_beside(self, cores: int) -> int:
        """Threads of a pass that runs beside others: no more than its part of the cores.

        With two threads each on two cores two passes take a tenth more CPU than with one (MiniLM).
        """
        return self.threads if self.workers == 1 else min(self.threads, max(1, cores // self.workers))

    def __str__(self) -> str:
        return f"{self.workers}x{self.threads}"


Times = Mapping[str, float]
"""How long each kind of call took, in any unit."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Of one division.

    Attributes:
        times: Of the fastest call of each kind.
        waited: How long threads waited for a core, of the time that they ran.
    """

    times: Times
    waited: float = 0.0


def candidates(cores: int) -> list[Division]:
    """Return what is worth a measurement: all even divisions, and two passes that share all threads.

    In the latter a text that comes alone has all cores, and two passes at the same time have half of them each.
    """
    shared = [Division(2, cores)] if cores > 1 else []
    return [*shared, *(Division(n, cores // n) for n in range(1, cores + 1) if cores % n == 0)]


CLEARLY_LESS = 0.85
"""A product of three times: 5 % of each. A smaller difference may be chance."""


def best(measured: Mapping[Division, Times]) -> Division:
    """Return the first division, or the one with the least product of its times if that is clearly less.

    In a product ten per cent of any kind of call count the same.

    Args:
        measured: At least one, all of the same kinds of call.
    """
    first = next(iter(measured))
    products = {division: prod(times.values()) for division, times in measured.items()}
    least = min(products, key=lambda division: products[division])
    return least if products[least] < CLEARLY_LESS * products[first] else first


WAITED_MAX = 0.15
"""Beside nothing threads of MiniLM waited 0.005 to 0.05 of the time that they ran, beside a program that keeps one of two cores
busy 0.4 to 0.6: which division is best was then chance."""


def is_disturbed(rounds: Sequence[Mapping[Division, Measurement]]) -> bool:
    """Whether other programs kept cores busy: for one of the divisions in all rounds."""
    return any(min(each[division].waited for each in rounds) > WAITED_MAX for division in rounds[0])


def fastest(rounds: Iterable[Times]) -> Times:
    """Return the least time of each kind of call."""
    kinds = [dict(each) for each in rounds]
    return {kind: min(each[kind] for each in kinds) for kind in kinds[0]}
