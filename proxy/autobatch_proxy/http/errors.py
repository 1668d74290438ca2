"""The one table from errors to HTTP, the shape in which TEI's clients read them, and what its web framework says.

The framework refuses a body before TEI reads it: in its words and in plain text.
"""

import msgspec

from autobatch_shared.contract.errors import (
    AnswerTooLarge,
    AutobatchError,
    DeadlineExceeded,
    EmptyInput,
    ForeignTokenIds,
    InvalidRequest,
    JobPoisonous,
    MalformedFrame,
    ModelNotNamed,
    NotComputed,
    NotJson,
    QueueFull,
    QueueUnavailable,
    RequestTooLarge,
    UnknownModel,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
    WorkerOutOfMemory,
    WrongContentType,
)

#: Error -> (status, TEI's `error_type`). A subclass without a row of its own has its parent's.
STATUSES: dict[type[AutobatchError], tuple[int, str]] = {
    InvalidRequest: (422, "Validation"),
    NotJson: (400, "Validation"),
    EmptyInput: (400, "Empty"),
    RequestTooLarge: (413, "Validation"),
    AnswerTooLarge: (413, "Validation"),
    ForeignTokenIds: (400, "Validation"),
    UnknownModel: (404, "NotFound"),
    ModelNotNamed: (400, "Validation"),
    WrongContentType: (415, "Validation"),
    NotComputed: (424, "Backend"),
    QueueFull: (429, "Overloaded"),
    UpstreamOverloaded: (429, "Overloaded"),
    WorkerOutOfMemory: (503, "Unhealthy"),
    QueueUnavailable: (503, "Unhealthy"),
    UpstreamUnavailable: (503, "Unhealthy"),
    UpstreamProtocolError: (502, "Backend"),
    JobPoisonous: (502, "Backend"),
    MalformedFrame: (502, "Backend"),
    DeadlineExceeded: (504, "Backend"),
    UpstreamTimeout: (504, "Backend"),
    AutobatchError: (500, "Backend"),
}

RETRY_LATER = {429, 503}

_encode = msgspec.json.Encoder().encode


def status_of(error: AutobatchError) -> tuple[int, str]:
    """Return (status, error_type)."""
    return next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)


def tei_error(error: AutobatchError) -> tuple[int, bytes]:
    """Return (status, body) as TEI's own routes answer."""
    status, error_type = status_of(error)
    return status, _encode({"error": str(error), "error_type": error_type})


class FrameworkError(Exception):
    """The body could not be read.

    Attributes:
        status: The HTTP status of the answer, 400 or more.
        text: The body of the answer, plain text.
        code: Its name in the metrics.
    """

    status = 400
    code = "body_unread"
    text = b"Failed to buffer the request body"


class TooLarge(FrameworkError):
    """It has more bytes than PAYLOAD_LIMIT."""

    status = 413
    code = "body_too_large"
    text = b"Failed to buffer the request body: length limit exceeded"


class TooSlow(FrameworkError):
    """The deadline expired before it had arrived. TEI would wait for ever."""

    status = 408
    code = "body_too_slow"
    text = b"Failed to buffer the request body: it did not arrive in time"


class WrongType(FrameworkError):
    """Its content type is not JSON."""

    status = 415
    code = "wrong_content_type"
    text = b"Expected request with `Content-Type: application/json`"
