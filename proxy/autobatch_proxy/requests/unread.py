"""What is asked for by a body that goes to the upstream as it came, so that no spelling gets past a refusal. Pure.

1. What is looked at is all that TEI could compute: `first_value` finds each field that TEI finds. What has no such inputs
   here is refused there.
2. The upstream also takes a request as an array, its fields by their position.
3. A `/vertex` is a list of requests for vectors, whatever their `type` says. In each, the last of repeated keys counts.

Source: `VertexRequest`, `EmbedRequest` and `OpenAICompatRequest` of text-embeddings-inference 1.9.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from autobatch_proxy.requests.asked import Inputs
from autobatch_proxy.requests.first_value import only
from autobatch_proxy.requests.token_ids import largest_id_of
from autobatch_shared.contract.errors import NOT_AS_ASKED

INSTANCES_ROUTE = "/vertex"
OPENAI_ROUTES = ("/v1/embeddings", "/embeddings")
ROUTES = frozenset((INSTANCES_ROUTE, "/embed", "/embed_all", "/embed_sparse", *OPENAI_ROUTES))

_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_MODEL_PLACE = 1  # in an array of OpenAI's fields; the inputs are the first of every route's

_decode_fields: Any = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw]).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_inputs: Any = msgspec.json.Decoder(str | list[str | list[_TokenId] | _TokenId]).decode

T = TypeVar("T")


class Unread(NamedTuple):
    """What a body asks for.

    Attributes:
        inputs: How many inputs it has; each request of a `/vertex` counts for one at least.
        largest_id: The largest token id among the inputs; None where there is none.
    """

    inputs: int
    largest_id: int | None


def look_at(body: bytes, route: str) -> Unread:
    """Look at a body for a route of ROUTES.

    Args:
        body: As the client sent it.
        route: The upstream's route that computes it.

    Raises:
        InvalidRequest: It would take too long to find out.
    """
    if route == INSTANCES_ROUTE:
        requests = _decoded(_decode_array, _field(body, "instances")) or []
        inputs_of = [_inputs_in(request, "inputs") for request in requests]
        ids = [largest_id_of(inputs) for inputs in inputs_of]
        count = sum([max(_count(inputs), 1) for inputs in inputs_of])
        return Unread(count, max((each for each in ids if each is not None), default=None))
    inputs = _inputs_in(body, "input" if route in OPENAI_ROUTES else "inputs")
    return Unread(_count(inputs), largest_id_of(inputs))


def model_in(body: bytes) -> str | None:
    """Return the model that a body names whose fields are like those of OPENAI_ROUTES, if it names one.

    Raises:
        InvalidRequest: It would take too long to find out.
    """
    return _decoded(_decode_text, _field(body, "model", _MODEL_PLACE))


def _count(inputs: Inputs) -> int:
    is_one = isinstance(inputs, str) or (len(inputs) > 0 and isinstance(inputs[0], int))
    return 1 if is_one else len(inputs)


def _inputs_in(request: bytes | msgspec.Raw, name: str) -> Inputs:
    inputs: Inputs = _decoded(_decode_inputs, _field(request, name)) or []
    kinds = set(map(type, inputs))
    return [] if int in kinds and len(kinds) > 1 else inputs  # ids beside lists or texts are no inputs


def _field(request: bytes | msgspec.Raw, name: str, place: int = 0) -> msgspec.Raw:
    """One field, empty where there is none."""
    fields: dict[str, msgspec.Raw] | Sequence[msgspec.Raw] | None = _decoded(_decode_fields, request)
    if fields is None:
        looked_at = only((name,), bytes(request))
        fields = {} if looked_at is None else _decoded(_decode_fields, looked_at) or {}
    if isinstance(fields, dict):
        return fields.get(name, msgspec.Raw())
    return fields[place] if place < len(fields) else msgspec.Raw()


def _decoded(decode: Callable[[Any], T], raw: bytes | msgspec.Raw) -> T | None:
    try:
        return decode(raw)
    except NOT_AS_ASKED:
        return None
