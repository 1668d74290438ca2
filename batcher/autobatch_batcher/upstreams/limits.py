"""What bounds one upstream call: our settings and the upstream's card, and what its calls taught. Pure."""

from dataclasses import dataclass, replace
from math import inf

from autobatch_shared.contract.cards import UNKNOWN_MAX, Card

LEARNT_S = (
    600.0  # after which a limit that was found out is tried again: calls had other texts, or the server other settings
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upstream takes.

    Attributes:
        inputs_max: The most inputs in one call.
        body_bytes_max: The most bytes in the body of one call.
        in_flight_inputs_max: The most inputs in all calls that run at the same time, those of all batchers together.
        input_tokens_max: Tokens after which an input is cut or refused.
        batch_tokens_max: The most tokens of one call; an input alone may have more.
        total_tokens_max: The most tokens of all inputs of one call together, in the same way, as its refusals have shown.
        pass_inputs_max: The most inputs that it computes at once: a call that has more takes several passes of the model.
        are_calls_counted: Whether it takes so many calls in a minute, and each had better be full.
    """

    inputs_max: int
    body_bytes_max: int
    in_flight_inputs_max: int
    input_tokens_max: int = UNKNOWN_MAX
    batch_tokens_max: int = UNKNOWN_MAX
    total_tokens_max: int = UNKNOWN_MAX
    pass_inputs_max: int = UNKNOWN_MAX
    are_calls_counted: bool = False


class LearntLimits:
    """What refusals have shown of limits that the card does not name. They are forgotten after LEARNT_S."""

    def __init__(self) -> None:
        self._inputs_max = self._tokens_max = UNKNOWN_MAX
        self._inputs_s = self._tokens_s = -inf

    def inputs(self, inputs_max: int, now_s: float) -> None:
        """Take note of the most inputs in a call."""
        self._inputs_max, self._inputs_s = inputs_max, now_s

    def tokens(self, tokens_max: int, now_s: float) -> None:
        """Take note of the most tokens of a call's inputs together."""
        self._tokens_max, self._tokens_s = tokens_max, now_s

    def forget(self) -> None:
        """Another server answers there, or the same with another model."""
        self._inputs_s = self._tokens_s = -inf

    def lowered(self, limits: Limits, now_s: float) -> Limits:
        """Return the limits, lowered to those that are known now."""
        if now_s - self._inputs_s < LEARNT_S:
            limits = replace(limits, inputs_max=min(limits.inputs_max, self._inputs_max))
        if now_s - self._tokens_s < LEARNT_S:
            limits = replace(limits, total_tokens_max=min(limits.total_tokens_max, self._tokens_max))
        return limits


def configured(
    inputs_max: int, body_bytes_max: int, batch_tokens_max: int | None = None, *, are_calls_counted: bool = False
) -> Limits:
    """Return the limits that hold before the upstream has described itself."""
    tokens_max = batch_tokens_max or UNKNOWN_MAX
    return Limits(
        inputs_max, body_bytes_max, UNKNOWN_MAX, batch_tokens_max=tokens_max, are_calls_counted=are_calls_counted
    )


def lowered(limits: Limits, card: Card) -> Limits:
    """Return the configured limits, lowered to those of the card."""
    return replace(
        limits,
        inputs_max=min(limits.inputs_max, card.inputs_max),
        in_flight_inputs_max=min(limits.in_flight_inputs_max, card.in_flight_inputs_max),
        input_tokens_max=min(limits.input_tokens_max, card.input_tokens_max),
        batch_tokens_max=min(limits.batch_tokens_max, card.batch_tokens_max),
        pass_inputs_max=card.pass_inputs_max,
    )
