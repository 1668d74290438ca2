"""Every error that crosses a module or a process, as one tree.

    AutobatchError
    ├── Rejected                  we refuse, nothing was computed
    │   ├── InvalidRequest        the client's body or headers
    │   │   ├── NotJson           the body is no JSON
    │   │   ├── EmptyInput        an input without any text
    │   │   ├── RequestTooLarge   Redis does not take it
    │   │   ├── AnswerTooLarge    what it asks for is more than may be answered
    │   │   ├── ForeignTokenIds   token ids where they are not taken, or of another vocabulary
    │   │   ├── UnknownModel      a model that is not served
    │   │   ├── ModelNotNamed     no model, where several are served and none is the default
    │   │   └── WrongContentType  the body says that it is something else
    │   ├── NotComputed           what the upstream's API has not
    │   ├── QueueFull             too much is waiting
    │   └── DeadlineExceeded      no answer within the request's time
    ├── WorkerOutOfMemory         the worker could not push the jobs
    ├── QueueUnavailable          Redis is unavailable, or refuses
    │   ├── QueueOutOfMemory      it has reached its `maxmemory`
    │   ├── QueueReadOnly         it takes no writes, as its snapshots fail
    │   └── NoBatcher             no batcher takes jobs out of the queue
    ├── UpstreamError             the upstream's fault
    │   ├── UpstreamUnavailable   cannot be reached, or says so
    │   │   ├── UpstreamBroken    hung up on a call: it may have died of it
    │   │   └── UpstreamChanged   may serve another model by now: its answer is not used
    │   ├── UpstreamOverloaded    answers 429, again and again
    │   ├── UpstreamTimeout       did not answer in time
    │   └── UpstreamProtocolError its answer has another shape
    │       └── InvalidAnswer     with status 200, and without the rows that were asked for
    ├── JobPoisonous              three batchers, or the upstream twice, died while they had it
    └── MalformedFrame            bytes in Redis that are not one of our frames
        └── FrameOfAnotherVersion written by an older or a newer version of this system

A fault travels in a reply frame as its `code`; `FAULTS` turns the code back into the class. Which status a client
sees is decided once, in `proxy/autobatch_proxy/http/errors.py`.
"""

from typing import Self

import msgspec

#: What msgspec raises at bytes that are not the JSON that was asked for: wrong syntax or type; invalid UTF-8 in a
#: string; nesting deeper than Python's stack.
NOT_AS_ASKED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: What OpenAI's API calls an account that may ask for nothing until it is paid for, as an error's `type` or `code`: with status 429.
OUT_OF_QUOTA = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})


class AutobatchError(Exception):
    """The proxy failed.

    The first line of an error's docstring, less its stop, is its default message.
    """

    code = "internal"
    #: When it may be worth another try.
    retry_after_s = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0].rstrip("."))


class Rejected(AutobatchError):
    """The request was refused."""


class InvalidRequest(Rejected):
    """The request is not valid."""

    code = "invalid_request"


class NotJson(InvalidRequest):
    """The request's body is not JSON."""

    code = "not_json"


class EmptyInput(InvalidRequest):
    """An input is empty."""

    code = "empty_input"


class RequestTooLarge(InvalidRequest):
    """The request is larger than Redis takes: its proto-max-bulk-len must be raised above PAYLOAD_LIMIT."""

    code = "request_too_large"


class AnswerTooLarge(InvalidRequest):
    """The answer would be too large."""

    code = "answer_too_large"


class ForeignTokenIds(InvalidRequest):
    """The token ids cannot be taken for this model's."""

    code = "foreign_token_ids"


class UnknownModel(InvalidRequest):
    """The model does not exist."""

    code = "model_not_found"


class ModelNotNamed(InvalidRequest):
    """The request does not say which of the models it is for."""

    code = "model_not_named"


class WrongContentType(InvalidRequest):
    """Expected request with `Content-Type: application/json`."""

    code = "wrong_content_type"


class NotComputed(Rejected):
    """The upstream does not compute this."""

    code = "not_computed"


class QueueFull(Rejected):
    """Model is overloaded."""

    code = "queue_full"


class DeadlineExceeded(Rejected):
    """The request's deadline expired before its answer came."""

    code = "deadline_exceeded"


class WorkerOutOfMemory(AutobatchError):
    """The proxy has no memory left."""

    code = "worker_out_of_memory"


class QueueUnavailable(AutobatchError):
    """The queue cannot be reached."""

    code = "queue_unavailable"


class QueueOutOfMemory(QueueUnavailable):
    """The queue has no memory left."""

    code = "queue_out_of_memory"


class QueueReadOnly(QueueUnavailable):
    """The queue takes no writes."""

    code = "queue_read_only"


class NoBatcher(QueueUnavailable):
    """No batcher is running: start one with `autobatch batcher`, with the REDIS_URL and NAMESPACE of the workers."""

    code = "no_batcher"


class UpstreamError(AutobatchError):
    """The upstream failed.

    Attributes:
        cause: What went wrong, for logs: `ECONNREFUSED`, `dns: ...`, `tls: ...`, `status 500`; empty where it is unknown.
    """

    cause = ""

    def because(self, cause: str) -> Self:
        """Return this error with its cause."""
        self.cause = cause
        return self


class UpstreamUnavailable(UpstreamError):
    """The upstream cannot be reached."""

    code = "upstream_unavailable"


class UpstreamBroken(UpstreamUnavailable):
    """The upstream hung up before it had answered.

    Attributes:
        lives: Whether it answered another call right after that.
    """

    code = "upstream_broken"
    lives = False


class UpstreamChanged(UpstreamUnavailable):
    """The upstream serves another model."""

    code = "upstream_changed"


class UpstreamOverloaded(UpstreamError):
    """The upstream is overloaded."""

    code = "upstream_overloaded"


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    code = "upstream_timeout"


class UpstreamProtocolError(UpstreamError):
    """The upstream's answer does not have the shape of an answer."""

    code = "upstream_protocol"


class InvalidAnswer(UpstreamProtocolError):
    """The upstream's answer has not the rows that were asked for."""

    code = "invalid_answer"


class JobPoisonous(AutobatchError):
    """The request was given up: three batchers, or the upstream twice, died while working on it."""

    code = "job_poisonous"


class MalformedFrame(AutobatchError):
    """The bytes are not a frame of this version."""

    code = "malformed_frame"


class FrameOfAnotherVersion(MalformedFrame):
    """The frame is of another version.

    Attributes:
        job: The id of its job.
        version: The version of the frame.
    """

    code = "frame_of_another_version"

    def __init__(self, message: str = "", *, job: str = "", version: int = 0) -> None:
        super().__init__(message)
        self.job = job
        self.version = version


FAULTS: dict[str, type[AutobatchError]] = {
    cls.code: cls
    for cls in (
        InvalidRequest,
        NotComputed,
        QueueFull,
        DeadlineExceeded,
        QueueUnavailable,
        QueueOutOfMemory,
        QueueReadOnly,
        UpstreamUnavailable,
        UpstreamBroken,
        UpstreamChanged,
        UpstreamOverloaded,
        UpstreamTimeout,
        UpstreamProtocolError,
        InvalidAnswer,
        JobPoisonous,
        MalformedFrame,
    )
}
