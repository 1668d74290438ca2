"""What bounds one upstream call: our settings and the upstream's card, and what its calls taught. Pure."""

from dataclasses import dataclass

from autobatch_shared.contract.cards import UNKNOWN_MAX, Card


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upstream takes.

    Attributes:
        inputs_max: The most inputs in one call.
        body_bytes_max: The most bytes in the body of one call.
        in_flight_inputs_max: The most inputs in all calls that run at the same time, those of all batchers together.
        input_tokens_max: Tokens after which an input is cut or refused.
        batch_tokens_max: The most tokens of one call; an input alone may have more.
    """

    inputs_max: int
    body_bytes_max: int
    in_flight_inputs_max: int
    input_tokens_max: int = UNKNOWN_MAX
    batch_tokens_max: int = UNKNOWN_MAX


def configured(inputs_max: int, body_bytes_max: int, batch_tokens_max: int | None = None) -> Limits:
    """Return the limits that hold before the upstream has described itself."""
    return Limits(inputs_max, body_bytes_max, UNKNOWN_MAX, batch_tokens_max=batch_tokens_max or UNKNOWN_MAX)


def lowered(limits: Limits, card: Card) -> Limits:
    """Return the configured limits, lowered to those of the card."""
    return Limits(
        inputs_max=min(limits.inputs_max, card.inputs_max),
        body_bytes_max=limits.body_bytes_max,
        in_flight_inputs_max=min(limits.in_flight_inputs_max, card.in_flight_inputs_max),
        input_tokens_max=min(limits.input_tokens_max, card.input_tokens_max),
        batch_tokens_max=min(limits.batch_tokens_max, card.batch_tokens_max),
    )
