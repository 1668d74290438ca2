"""Who may use which route when there is an API key: TEI's rules. Pure.

The key is sent as `Authorization: Bearer <key>`, byte for byte. What a load balancer or a browser asks without
credentials is open: health, metrics and every OPTIONS.
"""

import hmac

_OPEN = frozenset({"/health", "/ping", "/metrics"})
_READING = frozenset({"GET", "HEAD"})


def may_pass(key: str | None, method: str, path: str, authorization: str | None) -> bool:
    """Whether a request needs no key or has it. How long that takes says nothing about how much of it was right.

    Args:
        key: None when everything is open.
        method: One that the path has not is as closed as the path's others. Not OPTIONS.
        path: One that exists.
        authorization: The header of that name.
    """
    if key is None or path in _OPEN or (path == "/" and method in _READING):
        return True
    given = (authorization or "").encode(errors="surrogateescape")
    return hmac.compare_digest(given, f"Bearer {key}".encode())
