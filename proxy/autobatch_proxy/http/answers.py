"""What a client gets back: the replies to its jobs as one answer, or an error as the clients of its route read it."""

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_request import BaseRequest

from autobatch_proxy.dialects.error_shapes import ErrorShape
from autobatch_proxy.http.errors import RETRY_LATER, tei_error
from autobatch_proxy.http.headers import measure_lines, slowest_timings, timing_lines, timings_of
from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.requests.answer_size import too_large
from autobatch_proxy.requests.asked import AnswerFacts
from autobatch_proxy.requests.joining import check_lengths, join_rows
from autobatch_proxy.requests.plan import Plan
from autobatch_shared.contract.call_headers import shared
from autobatch_shared.contract.errors import FAULTS, AutobatchError, UpstreamProtocolError
from autobatch_shared.contract.frames import ReplyHeader

JSON_TYPE = "application/json"
JSON = {"Content-Type": JSON_TYPE}
DRAIN_ABOVE_BYTES = 65_536  # uvloop's own high-water mark


class AnswerNotes(NamedTuple):
    """What this worker says of an answer.

    Attributes:
        lines: Lines of the HTTP head that every answer has, each ended by CRLF.
        ms: Milliseconds that the request took in this worker.
        model: The name of the model that computed it; empty while it is unknown.
    """

    lines: bytes
    ms: int
    model: str


def answer(plan: Plan, replies: Sequence[Reply], notes: AnswerNotes, errors: ErrorShape | None) -> web.StreamResponse:
    """Answer one request.

    Where jobs failed, the one with the earliest input speaks for all. The upstream names the first bad input; which one
    of a job's inputs was bad, its error does not say.

    Args:
        plan: The plan of the request.
        replies: One reply for each of the plan's jobs, in the same order.
        notes: What this worker says of the answer.
        errors: How the request's client reads errors; None: as TEI writes them.
    """
    if len(replies) == 1:
        header, body = replies[0]
        if header.status == 200 and header.content_type == JSON_TYPE:  # nearly always
            return WholeResponse(good_answer(plan, header, body, notes))
        return _answer_of_one(header, body, timings_of(header), errors)
    headers = [header for header, _ in replies]
    timings = slowest_timings(headers)
    failed = [
        (min(job.places), header, body)
        for job, (header, body) in zip(plan.jobs, replies, strict=True)
        if header.fault or header.status != 200
    ]
    if failed:
        _, header, body = min(failed, key=itemgetter(0))
        return _answer_of_one(header, body, timings, errors)
    if sum([len(body) for _, body in replies]) > plan.answer_bytes_max:  # with rows that were in the cache
        return error_response(too_large(plan.answer_bytes_max), errors, timings)
    try:
        if plan.route == "/embed":
            check_lengths([body for _, body in replies])
        body = join_rows([(job.places, body) for job, (_, body) in zip(plan.jobs, replies, strict=True)])
        body = _formed(plan, body, headers, notes)
    except UpstreamProtocolError as error:
        return error_response(error, errors, timings)
    measured = measure_lines(ReplyHeader("", 200, measures=shared(headers[0].measures)), plan.characters, notes.ms)
    timed = b"".join([f"{name}: {value}\r\n".encode() for name, value in timings.items()])
    return WholeResponse(WholeAnswer(b"%b%b%b" % (notes.lines, timed, measured), body))


def good_answer(plan: Plan, header: ReplyHeader, body: bytes, notes: AnswerNotes) -> "WholeAnswer":
    """Answer a request whose one reply is good; the arguments are those of `answer`."""
    lines = b"%b%b%b" % (notes.lines, timing_lines(header), measure_lines(header, plan.characters, notes.ms))
    return WholeAnswer(lines, body if plan.form is None else _formed(plan, body, [header], notes))


def error_response(
    error: AutobatchError, errors: ErrorShape | None = None, timings: dict[str, str] | None = None
) -> web.Response:
    """Answer with an error of ours."""
    status, body = tei_error(error)
    headers = JSON | (timings or {})
    if status in RETRY_LATER:
        headers["Retry-After"] = str(error.retry_after_s)
    return web.Response(status=status, body=errors.write(status, body) if errors else body, headers=headers)


def _answer_of_one(
    header: ReplyHeader, body: bytes, timings: dict[str, str], errors: ErrorShape | None
) -> web.Response:
    if header.fault:
        return error_response(FAULTS.get(header.fault, AutobatchError)(body.decode(errors="replace")), errors, timings)
    if errors and header.status >= 400:
        return web.Response(status=header.status, body=errors.write(header.status, body), headers=JSON | timings)
    # It came through Redis: with a line end in it, it would be two headers.
    content_type = header.content_type if header.content_type.isprintable() else "application/octet-stream"
    return web.Response(status=header.status, body=body, headers={"Content-Type": content_type, **timings})


def _formed(plan: Plan, rows: bytes, headers: Sequence[ReplyHeader], notes: AnswerNotes) -> bytes:
    """The answer's body of all rows."""
    if plan.form is None:
        return rows
    tokens = plan.tokens
    if tokens is None and all(header.tokens for header in headers):  # else an upstream could not count
        tokens = sum([sum(header.tokens) for header in headers])
    return plan.form(rows, AnswerFacts(notes.model, tokens, plan.names.request, notes.ms))


class WholeAnswer(NamedTuple):
    """A good answer: status 200, JSON, written in one piece.

    Attributes:
        lines: Further lines of the HTTP head, each ended by CRLF.
        body: The whole body, JSON.
    """

    lines: bytes
    body: bytes

    def message(self, connection_line: bytes = b"") -> bytes:
        """Return head and body; `connection_line` says what becomes of the connection, where that is not understood."""
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nDate: %b\r\n%b%b\r\n%b" % (
            len(self.body),
            rfc822_formatted_time().encode(),
            self.lines,
            connection_line,
            self.body,
        )


class WholeResponse(web.StreamResponse):
    """A good answer as aiohttp's handlers return it.

    aiohttp's own response builds a header table, signals and a stream writer for what is always the same: 38 us of CPU a
    request against 26 for this one (`POST /embed` with 4.4 kB back, nothing else done). Only for headers of our own
    making; everything else goes through `web.Response`, which checks what it writes.

    Attributes:
        whole: What is written.
    """

    def __init__(self, whole: WholeAnswer) -> None:
        super().__init__()
        self.whole = whole
        self._stays: bool | None = None

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open, once it is known."""
        return self._stays

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Write everything."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client disconnected")
        self._stays = request.keep_alive and self._keep_alive is not False
        transport.write(self.whole.message(self._connection(request)))
        if len(self.whole.body) > DRAIN_ABOVE_BYTES:
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""

    def _connection(self, request: BaseRequest) -> bytes:
        if not self._stays:
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if request.version < (1, 1) else b""
