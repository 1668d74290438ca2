"""Which content types the upstream reads as JSON. Pure."""

import re

# `application/json` or `application/*+json`, and parameters, by the rules for media types.
_NAME = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_is_json = re.compile(
    rf'application/(?:json|[!#$&^_.+0-9a-z-]+\+json)(?:;\s*{_NAME}=(?:{_NAME}|"[^"\\]*"))*;?\s*',
    re.IGNORECASE | re.ASCII,
).fullmatch


def is_json(content_type: str | None) -> bool:
    """Whether the upstream would read a body of this type as JSON."""
    return content_type == "application/json" or (content_type is not None and _is_json(content_type) is not None)
