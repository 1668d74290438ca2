"""What a client gets back: its jobs' replies as one answer, or an error in TEI's shape, and how long the parts took."""

from collections.abc import Sequence
from operator import itemgetter

from aiohttp import web

from autobatch.errors import FAULTS, AutobatchError, UpstreamProtocolError
from autobatch.frames import ReplyHeader
from proxy.desk import Reply
from proxy.joining import join_rows
from proxy.pieces import Piece
from proxy.statuses import RETRY_AFTER_S, RETRY_LATER, tei_error
from proxy.timings import slowest_timings, timing_lines, timings_of
from proxy.whole_response import WholeResponse

JSON_TYPE = "application/json"
JSON = {"Content-Type": JSON_TYPE}


def answer(pieces: Sequence[Piece], replies: Sequence[Reply]) -> web.StreamResponse:
    """Answer one request.

    Where jobs failed, the one with the earliest input speaks for all. The upstream names the first bad input; which one
    of a job's inputs was bad, its error does not say.

    Args:
        pieces: The request's jobs.
        replies: One each, in the same order.
    """
    if len(replies) == 1:
        header, body = replies[0]
        if header.status == 200 and header.content_type == JSON_TYPE:  # nearly always
            return WholeResponse(timing_lines(header), body)
        return _answer_of_one(header, body, timings_of(header))
    timings = slowest_timings([header for header, _ in replies])
    failed = [
        (min(piece.places), header, body)
        for piece, (header, body) in zip(pieces, replies, strict=True)
        if header.fault or header.status != 200
    ]
    if failed:
        _, header, body = min(failed, key=itemgetter(0))
        return _answer_of_one(header, body, timings)
    try:
        rows = join_rows([(piece.places, body) for piece, (_, body) in zip(pieces, replies, strict=True)])
    except UpstreamProtocolError as error:
        return error_response(error, timings)
    return web.Response(body=rows, headers=JSON | timings)


def error_response(error: AutobatchError, timings: dict[str, str] | None = None) -> web.Response:
    """Answer with the error in TEI's shape."""
    status, body = tei_error(error)
    headers = JSON | (timings or {})
    if status in RETRY_LATER:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return web.Response(status=status, body=body, headers=headers)


def _answer_of_one(header: ReplyHeader, body: bytes, timings: dict[str, str]) -> web.Response:
    if header.fault:
        return error_response(FAULTS.get(header.fault, AutobatchError)(body.decode()), timings)
    return web.Response(status=header.status, body=body, headers={"Content-Type": header.content_type, **timings})
