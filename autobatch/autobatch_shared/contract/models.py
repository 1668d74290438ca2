"""Which model a namespace has: the record in Redis that all its batchers follow, and by which workers name answers.

1. An identity is all that decides which vector a text gets. Its fingerprint names it in replies, reports and answers.
2. A namespace has one model. An upstream of another identity is not called.
"""

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from autobatch_shared.contract.cards import Card, Identity
from autobatch_shared.contract.errors import NOT_AS_ASKED

FINGERPRINT_BYTES = 4  # of the models that one namespace ever has, two share one with probability 1e-8
NAMELESS = "(no name)"

_encode = msgspec.json.Encoder().encode
_decode_identity = msgspec.json.Decoder(Identity).decode


class ServedModel(msgspec.Struct, frozen=True):
    """A model: what one upstream serves, or what the namespace has.

    Attributes:
        fingerprint: Eight hex digits of the identity.
        name: What clients call it; empty where its upstream does not say.
        identity: The `Identity` as JSON.
        since: When it became the namespace's, unix milliseconds of Redis's clock; 0 for what an upstream serves.
    """

    fingerprint: str
    name: str
    identity: str
    since: int = 0

    @property
    def shown(self) -> str:
        """How a person is told which it is."""
        return f"{self.name or NAMELESS} {self.fingerprint}"

    @property
    def dimension(self) -> int | None:
        """Number of components of its vectors; None where it is unknown."""
        identity = self.decoded_identity
        return None if identity is None else identity.dimension

    @property
    def decoded_identity(self) -> Identity | None:
        """The identity; None where it cannot be read."""
        try:
            return _decode_identity(self.identity)
        except NOT_AS_ASKED:
            return None


_decode = msgspec.json.Decoder(ServedModel).decode


def model_of(card: Card, dimension: int | None) -> ServedModel:
    """Return what an upstream serves.

    Args:
        card: Its card; one without an identity is known by its dimension only.
        dimension: Number of components of its vectors; None for a model that has no vectors.
    """
    identity = msgspec.structs.replace(card.identity or Identity(""), dimension=dimension)
    canonical = _encode(identity)
    return ServedModel(blake2b(canonical, digest_size=FINGERPRINT_BYTES).hexdigest(), card.name, canonical.decode())


def encode_model(model: ServedModel) -> bytes:
    """Return the record as Redis has it."""
    return _encode(model)


def decode_model(record: bytes | None) -> ServedModel | None:
    """Return the record; None where there is none, or something else."""
    if record is None:
        return None
    try:
        return _decode(record)
    except NOT_AS_ASKED:
        return None


def differences(served: ServedModel, wanted: ServedModel) -> str:
    """Return which fields of two identities differ, and how: `dimension 128 and not 384`."""
    found = _differing(served, wanted)
    return "its identity" if found is None else ", ".join(f"{name} {own} and not {other}" for name, own, other in found)


def differ_in_rows_only(served: ServedModel, wanted: ServedModel) -> bool:
    """Whether the length of their rows is all that differs."""
    return [name for name, *_ in _differing(served, wanted) or ()] == ["dimension"]


def _differing(served: ServedModel, wanted: ServedModel) -> list[tuple[str, object, object]] | None:
    """Return the fields that differ with their values in both; None where an identity cannot be read."""
    try:
        own, other = (msgspec.structs.asdict(_decode_identity(each.identity)) for each in (served, wanted))
    except NOT_AS_ASKED:
        return None
    return [(name, own[name], other[name]) for name in own if own[name] != other[name]]


def next_model(now: ServedModel, counted: Iterable[str], served: Iterable[ServedModel]) -> ServedModel | None:
    """Return the model to move the namespace to; None while it keeps the one that it has.

    Args:
        now: The namespace's model.
        counted: The fingerprint that each upstream of each live batcher counts for; empty for none.
        served: What the upstreams of this batcher serve: it may only propose what it knows whole.

    Returns:
        What most upstreams count for, once none counts for the present one.
    """
    votes = Counter(fingerprint for fingerprint in counted if fingerprint)
    if not votes or now.fingerprint in votes:
        return None
    chosen = min(votes, key=lambda fingerprint: (-votes[fingerprint], fingerprint))  # the same for all batchers
    return next((model for model in served if model.fingerprint == chosen), None)
