"""Jobs and replies as bytes: one line of JSON header, a newline, then the raw body.

    {"v":2,"crc":"5f0c4a1e","id":"w1a2b3c4.17","n":1,"at":1790000000000,...}
    ["hello world"]

So `redis-cli LRANGE` shows a person everything, and a machine splits at the first newline without touching the body.

1. `v` is the version. A job of another version is never guessed at: it is left to the batchers of that version, which
   look for it, or, if it is older than that, answered with a fault in a frame of that version. For that `v`, `crc`, `id`
   and `n` stand in the same place in every version, and a fault has the same fields.
2. `crc` is CRC-32 of everything after itself, body included: a truncated or flipped frame is refused.
3. A header holds options, never inputs or vectors. A body is never parsed here.
4. The scripts in `scripts/` find `id`, `n` and `at` by their place, so these three stay first, in this order.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal
from zlib import crc32

import msgspec

from autobatch_shared.contract.errors import NOT_AS_ASKED, FrameOfAnotherVersion, MalformedFrame, QueueUnavailable
from autobatch_shared.contract.options import Options

VERSION = 2
ANSWERED_SINCE = 2  # before it, batchers put jobs of other versions aside without an answer
LEFT_SINCE = 2  # the first version whose batchers look for jobs that those of another version left to them

_HEAD = b'{"v":%d,"crc":"' % VERSION
_CRC_END = len(_HEAD) + 8
_REST = _CRC_END + 2  # past the quote and the comma
# As `scripts/claim.lua` reads it: group 1 is the version, group 2 the id.
_ID_IN_QUEUE = re.compile(rb'{"v":([0-9]{1,3}),"crc":"[0-9a-fA-F]+","id":"([A-Za-z0-9.]+)"')

#: What is counted or measured; above this, a JSON reader may round.
_Amount = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
INPUTS_MAX = 1_000_000  # of one job; a batcher would wait for ever for room for more
CHARACTERS_PER_TOKEN = 4  # of English

Frames = Sequence[bytes]


class JobHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a batcher knows of a job without its body.

    Attributes:
        id: `<worker>.<number>`, unique for ever.
        n: Number of inputs in the body, at least 1; 1 for a verbatim body that was not taken apart.
        at: When the job arrived, unix milliseconds of Redis's clock.
        deadline: When the client's request times out, unix milliseconds of Redis's clock.
        route: Path at the upstream, such as `/embed`.
        kind: `merge` may share a call with its lane; `solo` is put together and cut like that, but alone;
            `verbatim` is sent as it came.
        options: How its inputs are computed; None: all defaults.
        content_type: The content type of a verbatim body, as the client sent it; None where it sent none.
        longest: Length of the longest input, in characters unless `is_in_tokens`.
        is_counted: Whether the reply has to say how many tokens its inputs are.
        wants_each: Whether the reply has to say so for each input rather than for all together.
        is_in_tokens: Whether `longest` is in tokens: the worker has a tokenizer.
        request: The id of its request, which the client reads as `x-request-id`.
        trace: Headers that name the span of its request, `traceparent` and perhaps `tracestate`; empty: it is not traced.
            Source: https://www.w3.org/TR/trace-context/
    """

    id: str
    n: Annotated[int, msgspec.Meta(ge=1, le=INPUTS_MAX)]
    at: _Amount
    deadline: _Amount
    route: str
    kind: Literal["merge", "solo", "verbatim"] = "merge"
    options: Options | None = None
    content_type: str | None = None
    longest: _Amount = 0
    is_counted: bool = False
    wants_each: bool = False
    is_in_tokens: bool = False
    request: str = ""
    trace: dict[str, str] = {}


class ReplyHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a job.

    Attributes:
        id: The id of the job.
        status: The upstream's own HTTP status, from 200 to 599; 0 when `fault` speaks instead.
        fault: `code` of an error of `autobatch_shared.contract.errors`; the body is then its message.
        content_type: The content type of the body.
        queue_us: Microseconds, exact to a millisecond, since the job's arrival that were not in a call: it waited for one, or between two.
        upstream_us: Microseconds that its calls took, those that failed included.
        batch: Number of inputs in the last one; 0 when there was none.
        tokens: Number of tokens of each input, or one number for all of them; empty where they were not asked for or
            the upstream cannot count.
        measures: Headers of the upstream's answer that are true for this job: those of TEI that begin with `x-`.
        model: Fingerprint of the model that computed it, as in `autobatch_shared.contract.models`; empty where none did.
        upstream: The URL of the upstream that was called, without credentials; empty where none was.
    """

    id: str
    status: int
    fault: str = ""
    content_type: str = "application/json"
    queue_us: _Amount = 0
    upstream_us: _Amount = 0
    batch: _Amount = 0
    tokens: list[_Amount] = []
    measures: dict[str, str] = {}
    model: str = ""
    upstream: str = ""


_encode = msgspec.json.Encoder().encode
_decode_job = msgspec.json.Decoder(JobHeader).decode
_decode_reply = msgspec.json.Decoder(ReplyHeader).decode


def encode(header: JobHeader | ReplyHeader, body: bytes) -> bytes:
    """Return the frame."""
    try:
        rest = b"%b\n" % _encode(header)[1:]
    except UnicodeEncodeError:  # a header of a client or an upstream that was no UTF-8: aiohttp keeps its bytes apart
        rest = b"%b\n" % _encode(_in_ascii(header))[1:]
    return b'%b%08x",%b%b' % (_HEAD, crc32(body, crc32(rest)), rest, body)


def decode_job(frame: bytes) -> tuple[JobHeader, bytes]:
    """Return header and body of a job frame.

    Raises:
        FrameOfAnotherVersion: It is of another version, and `version_fault` makes the answer to it.
        MalformedFrame: Truncated, altered, or no job.
    """
    line, body = _split(frame)
    try:
        return _decode_job(line), body
    except NOT_AS_ASKED as exc:
        raise MalformedFrame(f"job header: {exc}") from exc


def decode_reply(frame: bytes) -> tuple[ReplyHeader, bytes]:
    """Return header and body of a reply frame.

    Raises:
        MalformedFrame: Truncated, altered, of another version, or no reply.
    """
    line, body = _split(frame)
    try:
        header = _decode_reply(line)
    except NOT_AS_ASKED as exc:
        raise MalformedFrame(f"reply header: {exc}") from exc
    if not (header.fault or 200 <= header.status < 600):
        raise MalformedFrame("reply header: neither a fault nor the status of an answer")
    return header, body


def id_in_queue(frame: bytes) -> str:
    """Return the id by which the scripts know a claimed frame, though it be broken."""
    found = _ID_IN_QUEUE.match(frame)
    return found[2].decode() if found else ""


def version_fault(error: FrameOfAnotherVersion) -> bytes:
    """Return the reply to a worker's job of another version, in a frame of that version."""
    message = versions_differ(worker=error.version, batcher=VERSION)
    reply = encode(ReplyHeader(error.job, 0, QueueUnavailable.code), message.encode())
    return reply.replace(b'{"v":%d,' % VERSION, b'{"v":%d,' % error.version, 1)  # which the checksum does not cover


def versions_differ(*, worker: int, batcher: int) -> str:
    """Return the sentence for a client whose request meets a worker and a batcher of different versions."""
    older = "worker" if worker < batcher else "batcher"
    return f"The worker and the batcher are of different versions ({worker} and {batcher}): the {older} must be updated"


def _in_ascii(header: JobHeader | ReplyHeader) -> JobHeader | ReplyHeader:
    return msgspec.structs.replace(header, content_type=(header.content_type or "").encode("ascii", "replace").decode())


def _split(frame: bytes) -> tuple[bytes, bytes]:
    """Check version and checksum; return the header line and the body."""
    if not frame.startswith(_HEAD):
        raise _foreign(frame)
    # The two bytes between checksum and rest are compared too, or a flip there would pass.
    if frame[len(_HEAD) : _REST] != b'%08x",' % crc32(memoryview(frame)[_REST:]):
        raise MalformedFrame("checksum does not match")
    end = frame.find(b"\n", _REST)
    if end < 0:
        raise MalformedFrame("no header line")
    return frame[:end], frame[end + 1 :]


def _foreign(frame: bytes) -> MalformedFrame:
    """Return the error for bytes that do not begin as a frame of this version."""
    found = _ID_IN_QUEUE.match(frame)
    if found is None or int(found[1]) == VERSION:
        return MalformedFrame(f"not a frame of version {VERSION}")
    version = int(found[1])
    return FrameOfAnotherVersion(f"a frame of version {version}", job=found[2].decode(), version=version)
