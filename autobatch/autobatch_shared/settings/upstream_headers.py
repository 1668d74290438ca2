"""The headers that an upstream is shown: its key, and others that it asks for."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

_is_name = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_OURS = {"host", "content-length", "content-type", "transfer-encoding", "connection"}


def headers_in(listed: str) -> dict[str, str]:
    """Return the headers of a comma list of `name=value`, where a comma in a value is `%2C`.

    Raises:
        ValueError: It is no such list; the text has nothing of it.
    """
    headers = {}
    for each in listed.split(","):
        name, is_there, value = each.strip().partition("=")
        value = unquote(value.strip())
        if (
            not is_there
            or _is_name(name) is None
            or name.lower() in _OURS
            or not (value.isascii() and value.isprintable())
        ):
            raise ValueError("must be a comma list of name=value: HTTP headers, a comma in a value as %2C")
        headers[name] = value
    return headers


def upstream_headers(api_key: str | None, listed: str | None) -> Mapping[str, str]:
    """Return the headers that every question to an upstream has: its key as a bearer token, and its own."""
    own = headers_in(listed) if listed else {}
    return {"Authorization": f"Bearer {api_key}"} | own if api_key else own
