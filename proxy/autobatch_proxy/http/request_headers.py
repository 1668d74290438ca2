"""What a client says beside its body. Pure: values of headers in, settings of this one request out."""

import re

from autobatch_shared.contract.errors import InvalidRequest

TIMEOUT_HEADER = "x-request-timeout-ms"
PRIORITY_HEADER = "x-priority"

# `application/json` or `application/*+json`, and parameters, by the rules for media types.
_NAME = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_is_json = re.compile(
    rf'application/(?:json|[!#$&^_.+0-9a-z-]+\+json)(?:;\s*{_NAME}=(?:{_NAME}|"[^"\\]*"))*;?\s*',
    re.IGNORECASE | re.ASCII,
).fullmatch


def is_json(content_type: str | None) -> bool:
    """Whether the upstream would read a body of this type as JSON."""
    return content_type == "application/json" or (content_type is not None and _is_json(content_type) is not None)


def timeout_s(asked: str | None, timeout_max_ms: int) -> float:
    """The request's time: the configured one, or less where the client asks for less.

    Raises:
        InvalidRequest: The header is no positive number of milliseconds.
    """
    if asked is None:
        return timeout_max_ms / 1000
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10 and int(asked) > 0):
        raise InvalidRequest(f"`{TIMEOUT_HEADER}` must be a positive number of milliseconds")
    return min(int(asked), timeout_max_ms) / 1000


def asks_bulk(asked: str | None) -> bool:
    """Whether the client lets others go first.

    Raises:
        InvalidRequest: The header is neither `bulk` nor `normal`.
    """
    if asked is None:
        return False
    priority = asked.lower()
    if priority not in ("bulk", "normal"):
        raise InvalidRequest(f"`{PRIORITY_HEADER}` must be `bulk` or `normal`")
    return priority == "bulk"
