"""What `/info` says here: the upstream's own, but with the longest list that this proxy takes. Pure.

    {"model_id":"m", ..., "max_client_batch_size":32}
    {"model_id":"m", ..., "max_client_batch_size":2048,"upstream_max_client_batch_size":32}

Clients cut their lists by it, and lists are cut for the upstream here.
"""

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED

LIMIT = "max_client_batch_size"
UPSTREAMS_LIMIT = "upstream_max_client_batch_size"

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def told(info: bytes, request_inputs_max: int) -> bytes:
    """Return the upstream's `/info` with our limit in it, all else in its own bytes; as it is where it is no object.

    Args:
        info: JSON.
        request_inputs_max: Inputs that one request may have here.
    """
    try:
        members = _decode(info)
    except NOT_AS_ASKED:
        return info
    upstreams = members.get(LIMIT)
    members[LIMIT] = msgspec.Raw(b"%d" % request_inputs_max)
    if upstreams is not None:
        members[UPSTREAMS_LIMIT] = upstreams
    return _encode(members)
