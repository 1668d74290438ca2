"""What `/info` says here: the upstream's own description, but with the longest list that this proxy takes. Pure.

    {"model_id":"m", ..., "max_client_batch_size":32}
    {"model_id":"m", ..., "max_client_batch_size":2048,"upstream_max_client_batch_size":32}

Clients cut their lists by it, and lists are cut for the upstream here.
"""

from collections.abc import Mapping

import msgspec

LIMIT = "max_client_batch_size"
UPSTREAMS_LIMIT = "upstream_max_client_batch_size"

_encode = msgspec.json.Encoder().encode


def info_of(about: Mapping[str, msgspec.Raw], request_inputs_max: int) -> bytes:
    """Return the upstream's description with our limit in it, all else in its own bytes.

    Args:
        about: The members of the upstream's own description, as its card has them.
        request_inputs_max: The most inputs that one request may have here.
    """
    members = {**about, LIMIT: msgspec.Raw(b"%d" % request_inputs_max)}
    if LIMIT in about:
        members[UPSTREAMS_LIMIT] = about[LIMIT]
    return _encode(members)
