"""What an upstream serves, in our words: batchers publish a card for each upstream, workers read it.

A dialect makes the card from what its upstream says about itself. No other part of the system reads that.
"""

from typing import Literal

import msgspec

UNKNOWN_MAX = 1_000_000  # where an upstream names no limit

ModelKind = Literal["embedding", "sparse", "classifier", "reranker"]


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """What decides which vector a text gets: two upstreams of equal identities give the same.

    Attributes:
        model: Name or path of the weights; empty where the upstream does not say.
        revision: Revision of the weights; None where the upstream does not say.
        dtype: Number type of the computation, such as `float32`; None where the upstream does not say.
        kind: What the model computes.
        pooling: How token vectors become one; None where the upstream does not say.
        dimension: Number of components of a vector; None on a card, and for a model that has no vectors.
        input_tokens_max: Tokens after which an input is cut or refused.
        cuts_inputs: Whether inputs that are too long are cut without being asked for; None where it is unknown.
        details: Whatever else decides an answer, such as a classifier's labels, as canonical JSON.
    """

    model: str
    revision: str | None = None
    dtype: str | None = None
    kind: ModelKind = "embedding"
    pooling: str | None = None
    dimension: int | None = None
    input_tokens_max: int = UNKNOWN_MAX
    cuts_inputs: bool | None = None
    details: str = ""


class Card(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one upstream serves.

    Attributes:
        name: What clients call the model; empty while it is unknown.
        kind: What the model computes, which decides what `POST /` means.
        identity: What decides its vectors; None where the upstream does not say which model it has.
        inputs_max: The most inputs in one call.
        in_flight_inputs_max: The most inputs in all calls that run at the same time.
        input_tokens_max: Tokens after which an input is cut or refused.
        batch_tokens_max: The most tokens that it computes at once.
        pass_inputs_max: The most inputs that it computes at once, of whichever calls.
        about: The members of the upstream's own description, each as it was sent; `/info` shows them. None where there
            is none.
    """

    name: str = ""
    kind: ModelKind = "embedding"
    identity: Identity | None = None
    inputs_max: int = UNKNOWN_MAX
    in_flight_inputs_max: int = UNKNOWN_MAX
    input_tokens_max: int = UNKNOWN_MAX
    batch_tokens_max: int = UNKNOWN_MAX
    pass_inputs_max: int = UNKNOWN_MAX
    about: dict[str, msgspec.Raw] | None = None


NO_CARD = Card()
