"""What an upstream's work costs: the law by which a simulated one answers, and the words in which it is written. Pure.

A law is written as one word for what a pass of the model computes, and what is known of it:

    padded:fixed_ms=1.5,per_unit_us=13          inputs times the longest of them
    unpadded:fixed_ms=20,per_unit_us=1.5        the sum of their lengths

A unit is what lengths are counted in: a character, or a token where the trace has tokens. The other words are fields of `SimulatedLaw`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from math import ceil, inf
from random import Random

KINDS = {"padded": True, "unpadded": False}
LEAST = {"multiple": 1, "parallel": 1, "said_inputs": -1, "cores": 1}
LIKE = 1.5  # the longest input of a part is at most so many times as long as its shortest


class LawError(ValueError):
    """A law was written in a way that is not understood; the text says what is."""


@dataclass(frozen=True, slots=True)
class SimulatedLaw:
    """How long an upstream computes, and how much at once.

    Attributes:
        is_padded: Whether each input of a pass costs as much as the longest.
        fixed_ms: Milliseconds of a pass before its first input.
        per_unit_us: Microseconds of each unit.
        knee_units: Units of a pass that cost nothing, as on an accelerator that is not filled.
        multiple: The longest input of a pass is padded to a multiple of so many units.
        parallel: Passes that run at the same time without making each other slower.
        pass_inputs_max: The most inputs in a pass, of whichever calls are oldest, as a server that batches by itself makes them;
            0: a pass is a call.
        noise: Sigma of the log-normal factor by which a pass takes longer or shorter.
        slow_passes: The first passes, which take `slow_times` as long.
        slow_times: See `slow_passes`.
        changes_at_s: When, in seconds from the beginning, the upstream changes: from then a pass takes `changed_times` as long.
        changed_times: See `changes_at_s`.
        in_flight_inputs_max: Inputs above which a call is refused with 429; 0: none is.
        per_input_us: Microseconds of each input, however long.
        beside_ms: Milliseconds of a call before its inputs wait for a pass, as of its way and its parsing: those of several calls pass at
            the same time.
        per_call_ms: Milliseconds of each call in the pass that its first input is in, as of its way and its parsing where they take the cores
            that compute.
        cut_units: Units after which an input is cut, as by a model that takes so many tokens; 0: none is.
        said_inputs: The most inputs in a pass by what it says, as TEI does; 0: it says nothing; -1: as they are.
        passes_ahead: Passes that are made up while others run: what comes later is not in them. TEI makes up one.
        first_inputs: The most inputs of a call in a pass that is made up as the call comes, as where they are tokenized one after the
            other; 0: as many as in any.
        cores: Cores that a pass is divided among: its parts are computed at the same time, it ends with the last of them, and `fixed_ms` is
            that of a part. See `parts`.
        part_units: A pass is divided evenly as far as each part has so many units; one of half as many has inputs of like length only.
    """

    is_padded: bool
    fixed_ms: float = 0.0
    per_unit_us: float = 0.0
    knee_units: int = 0
    multiple: int = 1
    parallel: int = 1
    pass_inputs_max: int = 0
    noise: float = 0.0
    slow_passes: int = 0
    slow_times: float = 10.0
    changes_at_s: float = inf
    changed_times: float = 2.0
    in_flight_inputs_max: int = 0
    per_input_us: float = 0.0
    beside_ms: float = 0.0
    per_call_ms: float = 0.0
    cut_units: int = 0
    said_inputs: int = -1
    passes_ahead: int = 0
    first_inputs: int = 0
    cores: int = 1
    part_units: int = 0

    @property
    def said_pass_inputs(self) -> int | None:
        """The most inputs in a pass, as far as it says that."""
        return (self.pass_inputs_max if self.said_inputs < 0 else self.said_inputs) or None

    def pass_s(self, lengths: Sequence[int], passes_before: int, begins_s: float, chance: Random) -> float:
        """Return the seconds that a pass takes.

        Args:
            lengths: The length of each input, at least one.
            passes_before: Number of passes that this upstream began before.
            begins_s: When it begins, in seconds from the beginning.
            chance: Where the noise comes from.
        """
        parts, units = self.busiest_core(lengths)
        takes_s = self.fixed_ms / 1e3 * parts + self.per_unit_us / 1e6 * max(0, units - self.knee_units)
        takes_s += self.per_input_us / 1e6 * len(lengths)
        if passes_before < self.slow_passes:
            takes_s *= self.slow_times
        if begins_s >= self.changes_at_s:
            takes_s *= self.changed_times
        return takes_s * chance.lognormvariate(0.0, self.noise) if self.noise else takes_s

    def units(self, lengths: Sequence[int]) -> int:
        """Return the units that a pass computes."""
        if self.cut_units:
            lengths = [min(length, self.cut_units) for length in lengths]
        if self.is_padded:
            return len(lengths) * ceil(max(lengths) / self.multiple) * self.multiple
        return sum(lengths)

    def busiest_core(self, lengths: Sequence[int]) -> tuple[int, int]:
        """Return how many parts of a pass are computed one after the other, and their units, by the core that has most to do."""
        if self.cores == 1:
            return 1, self.units(lengths)
        busy = [(0, 0)] * self.cores  # units and parts of each
        for part in self.parts(lengths):
            units, parts = heappop(busy)
            heappush(busy, (units + self.units(part), parts + 1))
        units, parts = max(busy)
        return parts, units

    def parts(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the lengths of each part of a pass: inputs of like length, the longest first, and no more than an even share of them."""
        total = sum(self.units((length,)) for length in lengths)
        share = total / max(1, min(self.cores, total // max(1, self.part_units)))
        parts: list[list[int]] = []
        units = 0
        for length in sorted(lengths, reverse=True):
            is_like = bool(parts) and parts[-1][0] <= LIKE * length
            if not parts or units >= share or (units >= self.part_units / 2 and not is_like):
                parts.append([])
                units = 0
            parts[-1].append(length)
            units += self.units((length,))
        return parts

    def passes(self, lengths: Sequence[int]) -> list[Sequence[int]]:
        """Return the lengths of each pass of a call that has the server for itself."""
        size = self.pass_inputs_max or len(lengths)
        first = min(self.first_inputs or size, size)
        at_once = (1 + self.passes_ahead) * first
        begins = [*range(0, min(at_once, len(lengths)), first), *range(at_once, len(lengths), size), len(lengths)]
        return [lengths[begin:end] for begin, end in pairwise(begins)]


NUMBERS = {
    name: float if annotation in (float, "float") else int
    for name, annotation in SimulatedLaw.__annotations__.items()
    if name != "is_padded"
}


def law_of(text: str) -> SimulatedLaw:
    """Read a law.

    Raises:
        LawError: It is not understood.
    """
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        raise LawError(f"{text!r}: must begin with {' or '.join(KINDS)}, as in padded:fixed_ms=1.5,per_unit_us=13")
    numbers: dict[str, float] = {}
    for word in filter(None, rest.split(",")):
        name, _, value = word.partition("=")
        if name not in NUMBERS:
            raise LawError(f"{name!r}: unknown; known are {', '.join(NUMBERS)}")
        try:
            numbers[name] = NUMBERS[name](value)
        except ValueError as exc:
            raise LawError(f"{word!r}: must be a number") from exc
        if not LEAST.get(name, 0) <= numbers[name] < inf:  # nor nan
            raise LawError(f"{word!r}: must be at least {LEAST.get(name, 0)}")
    law = SimulatedLaw(KINDS[kind], **numbers)  # type: ignore[arg-type]  # `NUMBERS` has made each of its own type
    if law.fixed_ms + law.per_unit_us + law.per_input_us == 0:
        raise LawError(f"{text!r}: costs nothing: fixed_ms, per_input_us or per_unit_us is needed")
    return law
