"""What clients say in the headers of a request, and the headers of an answer beside its type and length.

1. In every answer: an id, which is the client's or nginx's `x-request-id`, else made here, and who may read it in a browser,
   which is CORS as TEI has it.
2. In an answer to jobs: where the time went, the size of the batch, and TEI's headers of what a request cost, where they
   are true of this one request. If it shared its call, the upstream's times are those of all of them: its own are its
   characters and its time in this worker.

3. In a good answer: which model computed it, so that a client that keeps vectors notices a change.

    server-timing: queue;dur=1.2, upstream;dur=4.3
    x-batch-size: 17
    x-model: sentence-transformers/all-MiniLM-L6-v2
    x-model-fingerprint: 4be09a7c

Source of the first of these two: https://www.w3.org/TR/server-timing/, durations in milliseconds.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from aiohttp import web

from autobatch_shared.contract.call_headers import MEASURES
from autobatch_shared.contract.errors import InvalidRequest
from autobatch_shared.contract.frames import ReplyHeader

TIMEOUT_HEADER = "x-request-timeout-ms"
PRIORITY_HEADER = "x-priority"
START_HEADER = "x-request-start"  # nginx's
ORIGIN_HEADER = "origin"

# `application/json` or `application/*+json`, and parameters, by the rules for media types.
_NAME = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_is_json = re.compile(
    rf'application/(?:json|[!#$&^_.+0-9a-z-]+\+json)(?:;\s*{_NAME}=(?:{_NAME}|"[^"\\]*"))*;?\s*',
    re.IGNORECASE | re.ASCII,
).fullmatch

REQUEST_ID_HEADER = "x-request-id"
VARY = "origin, access-control-request-method, access-control-request-headers"
PREFLIGHT = {"access-control-allow-methods": "GET,POST", "access-control-allow-headers": "content-type"}

_KEY = web.RequestKey("request_id", str)
_VARY_LINE = f"vary: {VARY}\r\n".encode()
_PUBLIC_LINES = _VARY_LINE + b"access-control-allow-origin: *\r\n"
_is_usable = re.compile(r"[\x21-\x7e]{1,128}").fullmatch

_SPENT = b"queue;dur=%.1f, upstream;dur=%.1f"
_LINES = b"Server-Timing: " + _SPENT + b"\r\nX-Batch-Size: %d\r\n"
_is_fingerprint = re.compile(r"[0-9a-f]{8}").fullmatch
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
MODEL_NAME_MAX = 200  # characters
_OWN = b"X-Compute-Characters: %d\r\nX-Compute-Time: %d\r\nX-Total-Time: %d\r\n"


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


class CommonHeaders:
    """The headers that every answer of one worker has.

    Args:
        worker: The worker's id, with which the request ids that it makes begin.
        origins: Whose pages may read answers; `*` allows all.
    """

    def __init__(self, worker: str, origins: Iterable[str]) -> None:
        self._worker = worker
        self._made = itertools.count(1)
        self._origins = frozenset(origins)
        self._is_public = "*" in self._origins

    def request_id(self, request: web.BaseRequest) -> str:
        """The id of a request: always the same one."""
        said = request.headers.get(REQUEST_ID_HEADER)
        if said is not None and _is_usable(said):  # behind nginx always
            return said
        made = request.get(_KEY)
        if made is None:
            made = request[_KEY] = self.new_id()
        return made

    def new_id(self) -> str:
        """Return an id for a request that came without one."""
        return f"{self._worker}-{next(self._made)}"

    def name(self, request: web.BaseRequest, request_id: str) -> None:
        """Let a request that came without an id have this one."""
        request[_KEY] = request_id

    def lines(self, origin: str | None, request_id: str) -> bytes:
        """The lines of an HTTP head, each ended by CRLF.

        Args:
            origin: The header `Origin` of the request that is answered, which decides which lines there are.
            request_id: The id of the request, as `request_id` returns it.
        """
        encoded_id = request_id.encode()
        if self._is_public:
            return b"x-request-id: %b\r\n%b" % (encoded_id, _PUBLIC_LINES)
        origin = self._allowed(origin)
        allowed = f"access-control-allow-origin: {origin}\r\n" if origin else ""
        return b"x-request-id: %b\r\n%b%b" % (encoded_id, _VARY_LINE, allowed.encode())

    async def add(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Add them to an answer that is about to be sent, and remove what aiohttp adds and the upstream does not."""
        headers = response.headers
        headers.popall("Server", None)
        if isinstance(response, web.HTTPException):  # aiohttp's own text for what reaches no route, such as `CONNECT`
            response.body = None
            headers["Content-Length"] = "0"
        if isinstance(response, web.Response) and not response.body:
            headers.popall("Content-Type", None)
            if request.method == "HEAD" and response.status != 204:
                headers["Content-Length"] = "0"  # as for GET
        headers[REQUEST_ID_HEADER] = self.request_id(request)
        headers["vary"] = VARY
        if origin := self._allowed(request.headers.get(ORIGIN_HEADER)):
            headers["access-control-allow-origin"] = origin

    def _allowed(self, origin: str | None) -> str | None:
        if self._is_public:
            return "*"
        return origin if origin in self._origins else None


def timings_of(reply: ReplyHeader) -> dict[str, str]:
    """Return the headers of the call that answered one job; none when no call was made."""
    return _headers(reply.queue_us, reply.upstream_us, reply.batch)


def timing_lines(reply: ReplyHeader) -> bytes:
    """Return the same as lines of an HTTP head."""
    if not reply.batch:
        return b""
    return _LINES % (reply.queue_us / 1000, reply.upstream_us / 1000, reply.batch)


def slowest_timings(replies: Sequence[ReplyHeader]) -> dict[str, str]:
    """Return the headers of a request of several jobs: the slowest of each part, and the largest batch."""
    return _headers(
        max(reply.queue_us for reply in replies),
        max(reply.upstream_us for reply in replies),
        max(reply.batch for reply in replies),
    )


def _headers(queue_us: int, upstream_us: int, batch: int) -> dict[str, str]:
    if not batch:
        return {}
    spent = _SPENT % (queue_us / 1000, upstream_us / 1000)
    return {"Server-Timing": spent.decode(), "X-Batch-Size": str(batch)}


@lru_cache(64)
def model_lines(fingerprint: str, name: str) -> bytes:
    """Return the lines of an HTTP head that say which model answered; none for an empty fingerprint.

    Args:
        fingerprint: Of the model, as a reply has it.
        name: Of the model; empty while it is unknown. What a header cannot have is replaced by `?`.
    """
    if not _is_fingerprint(fingerprint):
        return b""
    shown = _NOT_PRINTABLE.sub("?", name)[:MODEL_NAME_MAX].strip()
    named = f"X-Model: {shown}\r\n" if shown else ""
    return f"{named}X-Model-Fingerprint: {fingerprint}\r\n".encode()


def measure_lines(reply: ReplyHeader, characters: int, ms: int) -> bytes:
    """Return lines of an HTTP head.

    Args:
        reply: The header of the reply to the request's one job, or what is true of the replies to all its jobs.
        characters: Number of characters of the request's inputs; 0 where it was passed on unchanged.
        ms: Milliseconds that the request took in this worker.
    """
    measures = reply.measures
    lines = b"".join([_line(name, value) for name, value in measures.items()])
    if characters and len(measures) < 2:
        lines += _OWN % (characters, ms, ms)
        if reply.tokens:
            lines += b"X-Compute-Tokens: %d\r\n" % sum(reply.tokens)
    return lines


@lru_cache(1024)
def _line(name: str, value: str) -> bytes:
    """One line, or nothing for what the upstream would not say: it came through Redis, and a line could be two."""
    is_known = name in MEASURES and len(value) < 64 and value.isascii() and value.isprintable()
    return f"{name}: {value}\r\n".encode() if is_known else b""
