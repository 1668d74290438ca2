"""Errors for clients that read JSON only: what TEI's framework says in plain text, in the shape of TEI's own errors. Pure."""

import msgspec

from autobatch_proxy.dialects.openai_errors import TYPES


def as_json(status: int, body: bytes) -> bytes:
    """Return an error's body as `{"error": ..., "error_type": ...}`; one that is an object already stays as it is.

    Args:
        status: HTTP status, 400 or more.
        body: In TEI's shape, or plain text, or empty.
    """
    if body.startswith(b"{"):
        return body
    text = body.decode(errors="replace").strip() or "The request failed"
    return msgspec.json.encode({"error": text, "error_type": TYPES.get(status, "Backend")})
