"""How large and how mixed in length the batches for an upstream may be, as its calls taught. Pure."""

import msgspec

from autobatch_batcher.tuning.cost import CostLaw


class BatchShape(msgspec.Struct, frozen=True):
    """How the lengths of a batch's inputs are bounded, as the upstream's calls taught.

    Attributes:
        padding_max: Units of padding in one batch that cost as much as one more call; None: padding costs nothing.
        units_max: The most units of a batch and of one more of its longest input; None: no limit.
        knee_units: Units of a call up to which size costs nothing.
        law: What a unit is.
    """

    padding_max: float | None
    units_max: int | None
    knee_units: float = 0.0
    law: CostLaw = CostLaw.PADDED

    def has_room(self, inputs: int, longest: int, useful: int) -> bool:
        """Whether a batch may have so many inputs, the longest and the sum of which are given: one more like it would fit, too."""
        return (
            self.units_max is None
            or self.law.units((inputs + 1) * longest, useful + longest, inputs + 1) <= self.units_max
        )

    def may_pad(self, padded: float, useful: int) -> bool:
        """Whether a call may be padded to `padded` units: it costs no more than two calls of half its inputs, without padding."""
        if self.padding_max is None:
            return True
        knee = self.knee_units
        return padded <= knee + self.padding_max + max(0.0, useful - 2 * knee)
