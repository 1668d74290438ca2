"""How much one upstream call may carry, from our settings and what the upstream says of itself."""

from dataclasses import dataclass
from typing import Any

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED

UNKNOWN_MAX = 1_000_000  # an upstream that names no limit


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one upstream.

    Attributes:
        inputs_max: Inputs in one call.
        body_bytes_max: Bytes of inputs in one call.
        in_flight_inputs_max: Inputs in all calls that run at the same time.
        input_tokens_max: Tokens after which an input is cut off.
    """

    inputs_max: int
    body_bytes_max: int
    in_flight_inputs_max: int
    input_tokens_max: int = UNKNOWN_MAX


class _Info(msgspec.Struct):
    """What counts here of TEI's `/info`."""

    max_client_batch_size: Any = None
    max_concurrent_requests: Any = None  # permits, one an input, not one a call
    max_input_length: Any = None


_decode = msgspec.json.Decoder(_Info).decode


def configured(inputs_max: int, body_bytes_max: int) -> Limits:
    """The limits before the upstream has said anything."""
    return Limits(inputs_max, body_bytes_max, UNKNOWN_MAX)


def lowered(limits: Limits, info: bytes) -> Limits:
    """The configured limits, lowered to what the upstream's `/info` allows; unchanged when it is no such object."""
    try:
        said = _decode(info)
    except NOT_AS_ASKED:
        return limits
    in_flight = _lower(limits.in_flight_inputs_max, said.max_concurrent_requests)
    # A list longer than the permits can never succeed.
    inputs = _lower(min(limits.inputs_max, in_flight), said.max_client_batch_size)
    return Limits(inputs, limits.body_bytes_max, in_flight, _lower(limits.input_tokens_max, said.max_input_length))


def _lower(limit: int, said: object) -> int:
    """The lower of two limits; what is no positive number limits nothing."""
    return min(limit, said) if type(said) is int and said > 0 else limit
