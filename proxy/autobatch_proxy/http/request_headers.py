"""What a client may ask for beside its body. Pure: values of headers in, settings of this one request out."""

from autobatch_shared.contract.errors import InvalidRequest

TIMEOUT_HEADER = "x-request-timeout-ms"
PRIORITY_HEADER = "x-priority"


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
