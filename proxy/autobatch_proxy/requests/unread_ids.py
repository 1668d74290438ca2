"""Token ids in a body that goes to the upstream as it came: the upstream dies of those that it has no token for. Pure.

1. A `/vertex` is a list of requests for vectors, whatever their `type` says. In each, the last of repeated keys counts.
2. The upstream also takes a request as an array, its fields by their position: the inputs are the first.
3. What is no JSON, or has no such inputs, has no ids that are computed.

Source: `VertexRequest` and `EmbedRequest` of text-embeddings-inference 1.9.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from autobatch_proxy.requests.asked import Inputs
from autobatch_proxy.requests.token_ids import largest_id_of
from autobatch_shared.contract.errors import NOT_AS_ASKED

INSTANCES_ROUTE = "/vertex"
ROUTES = frozenset((INSTANCES_ROUTE, "/embed", "/embed_all", "/embed_sparse", "/v1/embeddings", "/embeddings"))

_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class _Instances(msgspec.Struct):
    instances: msgspec.Raw = msgspec.Raw()


class _Fields(msgspec.Struct):
    inputs: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()


_may_have_ids = re.compile(rb"[\[,]\s*\d").search
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_instances = msgspec.json.Decoder(_Instances).decode
_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_inputs: Any = msgspec.json.Decoder(list[str | list[_TokenId] | _TokenId]).decode

T = TypeVar("T")


def requests_in(body: bytes, route: str) -> Sequence[bytes | msgspec.Raw]:
    """Return the requests that a body has for a route of ROUTES: its instances, or itself.

    Args:
        body: As the client sent it.
        route: The upstream's route that computes it.
    """
    if route != INSTANCES_ROUTE:
        return [body]
    whole = _decoded(_decode_instances, body)
    instances = whole.instances if whole is not None else _first(body)
    return _decoded(_decode_array, instances) or []


def largest_unread_id(requests: Sequence[bytes | msgspec.Raw]) -> int | None:
    """Return the largest token id in the inputs of some requests, where they have any."""
    found = (_largest_in(each) for each in requests if _may_have_ids(each))
    return max((largest for largest in found if largest is not None), default=None)


def _largest_in(request: bytes | msgspec.Raw) -> int | None:
    fields = _decoded(_decode_fields, request)
    members = [_first(request)] if fields is None else [fields.inputs, fields.input]
    largest = [largest_id_of(inputs) for raw in members if (inputs := _ids_in(raw)) is not None]
    return max((each for each in largest if each is not None), default=None)


def _ids_in(raw: msgspec.Raw) -> Inputs | None:
    inputs: Inputs | None = _decoded(_decode_inputs, raw)
    kinds = set(map(type, inputs or ()))
    return None if int in kinds and len(kinds) > 1 else inputs  # ids beside lists or texts are no inputs


def _first(raw: bytes | msgspec.Raw) -> msgspec.Raw:
    members = _decoded(_decode_array, raw)
    return members[0] if members else msgspec.Raw()


def _decoded(decode: Callable[[Any], T], raw: bytes | msgspec.Raw) -> T | None:
    try:
        return decode(raw)
    except NOT_AS_ASKED:
        return None
