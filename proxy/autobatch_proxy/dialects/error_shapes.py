"""Errors as the clients of a route read them, where that is not as TEI writes them. Pure.

OpenAI's, with TEI's flat fields beside them; its `code` is a word or null, and clients of typed languages read nothing
else, where TEI's is the status:

{"error": {"message": "...", "type": "Validation", "param": "input", "code": null},
"message": "...", "type": "Validation", "code": 422}

For clients that read JSON only, what TEI's framework says in plain text becomes one of TEI's own errors.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED, OUT_OF_QUOTA

#: Where an error names no type of its own: what TEI's framework says in plain text, and what is said with a status only.
TYPES = {
    400: "Validation",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Validation",
    413: "Validation",
    415: "Validation",
    422: "Validation",
    424: "Backend",
    429: "Overloaded",
    503: "Unhealthy",
}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}  # OpenAI's own words; the others have none
NO_SUCH_MODEL = "The model `"  # as OpenAI's own error begins, whose type and code clients read
TEXTS = {401: "Missing or wrong API key", 404: "No such route or model", 405: "Method not allowed"}

_FIELDS = {"inputs": "input"} | {name: name for name in ("input", "model", "encoding_format", "dimensions", "user")}
_named = re.compile(rf"`({'|'.join(_FIELDS)})`|\b({'|'.join(_FIELDS)})(?:\[\d+\])*: ").search
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def as_openai(status: int, body: bytes) -> bytes:
    """Return an error's body in this shape.

    Args:
        status: HTTP status, 400 or more.
        body: The error's body in one of TEI's shapes, plain text, or empty.
    """
    said = _said(body)
    message = _message_in(said, status)
    kind = said.get("type") or said.get("error_type") or TYPES.get(status, "Backend")
    param, code = _param(status, message), kind if kind in OUT_OF_QUOTA else CODES.get(status)
    if status == 404 and message.startswith(NO_SUCH_MODEL):
        kind, param, code = "invalid_request_error", "model", "model_not_found"
    inner = {"message": message, "type": kind, "param": param, "code": code}
    return _encode({"error": inner, "message": message, "type": kind, "code": status})


def as_json(status: int, body: bytes) -> bytes:
    """Return an error's body as `{"error": ..., "error_type": ...}`; one that is an object already stays as it is.

    Args:
        status: HTTP status, 400 or more.
        body: The error's body in TEI's shape, plain text, or empty.
    """
    if body.startswith(b"{"):
        return body
    text = body.decode(errors="replace").strip() or "The request failed"
    return _encode({"error": text, "error_type": TYPES.get(status, "Backend")})


def message_of(status: int, body: bytes) -> str:
    """Return the sentence of an error.

    Args:
        status: HTTP status, 400 or more.
        body: The error's body in one of TEI's shapes, plain text, or empty.
    """
    return _message_in(_said(body), status)


def _message_in(said: dict[str, str], status: int) -> str:
    return said.get("message") or said.get("error") or TEXTS.get(status) or "The request failed"


def _said(body: bytes) -> dict[str, str]:
    try:
        said = _decode(body)
    except NOT_AS_ASKED:
        return {"message": body.decode(errors="replace").strip()}
    inner = said.get("error")  # of an upstream that answers as OpenAI does
    return {key: value for key, value in (inner if isinstance(inner, dict) else said).items() if isinstance(value, str)}


def _param(status: int, message: str) -> str | None:
    """Which field an error of the request is about, where its text says so."""
    found = _named(message) if status in (400, 422) else None
    return _FIELDS[found[1] or found[2]] if found else None


class ErrorShape(msgspec.Struct, frozen=True):
    """How the clients of a route read errors, where that is not as TEI writes them.

    Attributes:
        write: Returns an error's body, given its status and its body in one of TEI's shapes, in plain text or empty.
        fills_refusals: Whether a refusal that TEI sends without a body, such as a 401, has one.
    """

    write: Callable[[int, bytes], bytes]
    fills_refusals: bool = False


OPENAI_ERRORS = ErrorShape(as_openai, fills_refusals=True)
JSON_ERRORS = ErrorShape(as_json)
