"""What bounds one upstream call: our settings and the upstream's card, and what its calls taught. Pure."""

from dataclasses import dataclass

import msgspec

from autobatch_batcher.upstreams.cost import Law
from autobatch_shared.contract.cards import UNKNOWN_MAX, Card


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upstream takes.

    Attributes:
        inputs_max: The most inputs in one call.
        body_bytes_max: The most bytes in the body of one call.
        in_flight_inputs_max: The most inputs in all calls that run at the same time, those of all batchers together.
        input_tokens_max: Tokens after which an input is cut or refused.
    """

    inputs_max: int
    body_bytes_max: int
    in_flight_inputs_max: int
    input_tokens_max: int = UNKNOWN_MAX


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
    law: Law = Law.PADDED

    def has_room(self, inputs: int, longest: int, useful: int) -> bool:
        """Whether a batch may have so many inputs, the longest and the sum of which are given: one more like it would fit, too."""
        return self.units_max is None or self.law.units((inputs + 1) * longest, useful + longest) <= self.units_max

    def may_pad(self, padded: float, useful: int) -> bool:
        """Whether a call may be padded to `padded` units: it costs no more than two calls of half its inputs, without padding."""
        if self.padding_max is None:
            return True
        knee = self.knee_units
        return padded <= knee + self.padding_max + max(0.0, useful - 2 * knee)


def configured(inputs_max: int, body_bytes_max: int) -> Limits:
    """Return the limits that hold before the upstream has described itself."""
    return Limits(inputs_max, body_bytes_max, UNKNOWN_MAX)


def lowered(limits: Limits, card: Card) -> Limits:
    """Return the configured limits, lowered to those of the card."""
    return Limits(
        inputs_max=min(limits.inputs_max, card.inputs_max),
        body_bytes_max=limits.body_bytes_max,
        in_flight_inputs_max=min(limits.in_flight_inputs_max, card.in_flight_inputs_max),
        input_tokens_max=min(limits.input_tokens_max, card.input_tokens_max),
    )
