"""What TEI's web framework says of a body before TEI reads it: in its words and in plain text."""


class FrameworkError(Exception):
    """The body could not be read.

    Attributes:
        status: Of the answer.
        text: Its body.
    """

    status = 400
    text = b"Failed to buffer the request body"


class TooLarge(FrameworkError):
    """It has more bytes than PAYLOAD_LIMIT."""

    status = 413
    text = b"Failed to buffer the request body: length limit exceeded"


class TooSlow(FrameworkError):
    """It did not come within the request's time. TEI would wait for ever."""

    status = 408
    text = b"Failed to buffer the request body: it did not arrive in time"


class WrongType(FrameworkError):
    """It is said to be something else than JSON."""

    status = 415
    text = b"Expected request with `Content-Type: application/json`"
