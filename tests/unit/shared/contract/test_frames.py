"""Frames come out as they went in, or not at all."""

import json
import re
from collections.abc import Callable
from zlib import crc32

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autobatch_shared.contract.errors import FrameOfAnotherVersion, MalformedFrame
from autobatch_shared.contract.frames import (
    INPUTS_MAX,
    VERSION,
    JobHeader,
    ReplyHeader,
    decode_job,
    decode_reply,
    encode,
    version_fault,
)
from autobatch_shared.contract.options import Options
from tests.support.version_1 import OLD_JOBS, OLD_REPLY, OldJob

Decode = Callable[[bytes], object]

MOMENTS = st.integers(0, 2**53)
BODIES = st.binary(max_size=40)
JOBS = st.builds(
    JobHeader,
    id=st.text(max_size=20),
    n=st.integers(1, 100_000),
    at=MOMENTS,
    deadline=MOMENTS,
    route=st.text(max_size=10),
    kind=st.sampled_from(["merge", "solo", "verbatim"]),
    options=st.none() | st.builds(Options),
    content_type=st.none() | st.text(max_size=10),
    request=st.text(max_size=10),
    trace=st.dictionaries(st.sampled_from(["traceparent", "tracestate"]), st.text(max_size=10)),
)
REPLIES = st.builds(
    ReplyHeader,
    id=st.text(max_size=20),
    status=st.integers(200, 599),
    fault=st.text(max_size=10),
    content_type=st.text(max_size=10),
)
HEADERS = JOBS | REPLIES
JOB = JobHeader("w1a2.17", 3, 1_790_000_000_000, 1_790_000_030_000, "/embed")
REPLY = ReplyHeader("w1a2.17", 200)
DECODERS = pytest.mark.parametrize("decode", [decode_job, decode_reply])


def is_refused(decode: Decode, frame: bytes) -> bool:
    """Whether the frame is refused by the one error that stands for it; any other error is the test's failure."""
    try:
        decode(frame)
    except MalformedFrame:
        return True
    return False


def decoder_of(header: JobHeader | ReplyHeader) -> Decode:
    return decode_job if isinstance(header, JobHeader) else decode_reply


def with_true_checksum(rest: bytes) -> bytes:
    """A frame whose header is garbage and was not altered on the way."""
    return b'{"v":%d,"crc":"%08x",%b' % (VERSION, crc32(rest), rest)


@given(JOBS, st.binary())
@example(JOB, b"\n")
def test_any_job_comes_out_as_it_went_in(header: JobHeader, body: bytes) -> None:
    assert (header, body) == decode_job(encode(header, body))


@given(REPLIES, st.binary())
@example(REPLY, b'{"v":2}\n')
def test_any_reply_comes_out_as_it_went_in(header: ReplyHeader, body: bytes) -> None:
    assert (header, body) == decode_reply(encode(header, body))


@settings(max_examples=30)
@given(HEADERS, BODIES)
def test_a_frame_cut_off_anywhere_is_refused(header: JobHeader | ReplyHeader, body: bytes) -> None:
    frame, decode = encode(header, body), decoder_of(header)

    accepted = [end for end in range(len(frame)) if not is_refused(decode, frame[:end])]

    assert accepted == []


@settings(max_examples=30)
@given(HEADERS, BODIES)
def test_a_flip_of_any_bit_is_refused(header: JobHeader | ReplyHeader, body: bytes) -> None:
    frame, decode = encode(header, body), decoder_of(header)
    bits = int.from_bytes(frame, "big")

    accepted = [
        bit for bit in range(len(frame) * 8) if not is_refused(decode, (bits ^ (1 << bit)).to_bytes(len(frame), "big"))
    ]

    assert accepted == []


@settings(max_examples=30)
@given(HEADERS, BODIES, st.integers(1, 255))
def test_another_byte_anywhere_is_refused(header: JobHeader | ReplyHeader, body: bytes, change: int) -> None:
    frame, decode = encode(header, body), decoder_of(header)

    accepted = [
        place
        for place, byte in enumerate(frame)
        if not is_refused(decode, frame[:place] + bytes([byte ^ change]) + frame[place + 1 :])
    ]

    assert accepted == []


@given(HEADERS, BODIES, st.binary(min_size=1, max_size=3))
def test_bytes_before_or_after_a_frame_are_refused(header: JobHeader | ReplyHeader, body: bytes, stray: bytes) -> None:
    frame, decode = encode(header, body), decoder_of(header)

    assert [True, True] == [is_refused(decode, stray + frame), is_refused(decode, frame + stray)]


def test_two_frames_in_a_row_are_no_frame() -> None:
    frame = encode(JOB, b"[]")

    assert is_refused(decode_job, frame + frame)


@DECODERS
@given(frame=st.binary())
@example(frame=b"")
@example(frame=b"\n")
@example(frame=b"{}\n[]")
def test_foreign_bytes_are_refused(decode: Decode, frame: bytes) -> None:
    assert is_refused(decode, frame)


@pytest.mark.parametrize("version", [b"0", b"1", b"3", b"20", b"2.0", b'"2"', b"null", b"-2"])
def test_another_version_is_refused(version: bytes) -> None:
    """The checksum does not cover the version, so it is the version alone that tells."""
    frame = encode(JOB, b"[]").replace(b'{"v":2,', b'{"v":' + version + b",", 1)

    assert is_refused(decode_job, frame)


@pytest.mark.parametrize("job", OLD_JOBS)
def test_a_job_of_version_1_is_answered_in_version_1(job: OldJob) -> None:
    """Its worker cannot read another version. The checksum does not cover the version: all else is as today."""
    with pytest.raises(FrameOfAnotherVersion) as raised:
        decode_job(job.frame)

    reply = version_fault(raised.value)
    assert reply.startswith(b'{"v":1,')
    header, message = decode_reply(reply.replace(b'{"v":1,', b'{"v":2,', 1))
    assert (job.id, 0, "queue_unavailable") == (header.id, header.status, header.fault)
    assert message == b"The worker and the batcher are of different versions (1 and 2): the worker must be updated"


def test_a_fault_in_version_1_has_the_fields_of_version_1() -> None:
    error = FrameOfAnotherVersion(job="w1.1", version=1)

    fields = json.loads(version_fault(error).partition(b"\n")[0])
    assert {"v", "crc", "id", "status", "fault"} == fields.keys()


def test_a_job_of_a_later_version_is_answered_in_that_version() -> None:
    with pytest.raises(FrameOfAnotherVersion) as raised:
        decode_job(encode(JOB, b"[]").replace(b'{"v":2,', b'{"v":37,', 1))

    reply = version_fault(raised.value)
    assert reply.startswith(b'{"v":37,"crc":"')
    assert reply.endswith(b"(37 and 2): the batcher must be updated")


def test_a_reply_of_version_1_is_refused() -> None:
    assert is_refused(decode_reply, OLD_REPLY)


class LaterHeader(JobHeader, frozen=True):
    """A header with a field that this version does not know, of the same version of frames."""

    later: str = "x"


def test_a_field_that_a_reader_does_not_know_is_skipped() -> None:
    later = LaterHeader("w.1", 1, 2, 3, "/embed", later="y", request="r1")

    assert (JobHeader("w.1", 1, 2, 3, "/embed", request="r1"), b"[]") == decode_job(encode(later, b"[]"))


@given(JOBS, BODIES)
def test_a_job_is_no_reply(header: JobHeader, body: bytes) -> None:
    """Taken for a reply, a job would be answered with its own inputs and status 200."""
    assert is_refused(decode_reply, encode(header, body))


@given(REPLIES, BODIES)
def test_a_reply_is_no_job(header: ReplyHeader, body: bytes) -> None:
    assert is_refused(decode_job, encode(header, body))


JOB_START = b'"id":"a","n":1,"at":1,"deadline":2,'


@DECODERS
@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"\n",
        b"}\n",
        b"[]\n",
        b'"id":"a"\n}',
        b'"id":1}\n',
        b'"id":null}\n',
        b'"id":"\xff"}\n',
        b'"id":"\\ud800"}\n',
        b'"n":1,"at":1,"deadline":2,"route":"/"}\n',
        b'"id":"a","status":"200","n":"1","at":1,"deadline":2,"route":"/"}\n',
        b'"id":"a","status":2.5,"n":1,"at":1,"deadline":2,"route":"/","kind":"other"}\n',
        b'"id":"a","status":null,"n":null,"at":1,"deadline":2,"route":"/"}\n',
        b'"id":"a","content_type":5,"n":1,"at":1,"deadline":2,"route":"/"}\n',
        JOB_START + b'"route":"/","content_type":"a"} trailing\n',
        JOB_START + b'"route":"/"}',
        b'"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    ],
    ids=lambda rest: repr(rest[:40]),
)
def test_a_header_that_is_garbage_is_refused_though_its_checksum_is_right(decode: Decode, rest: bytes) -> None:
    assert is_refused(decode, with_true_checksum(rest))


@DECODERS
@given(rest=st.binary() | st.binary().map(lambda middle: b'"id":' + middle + b"}\n"))
def test_no_header_raises_anything_but_the_one_error(decode: Decode, rest: bytes) -> None:
    """A batcher that met another error would lose the jobs that it claimed together with this one."""
    is_refused(decode, with_true_checksum(rest))


@given(st.builds(JobHeader, id=st.just("w1.7"), n=MOMENTS, at=MOMENTS, deadline=MOMENTS, route=st.text()), BODIES)
def test_the_scripts_find_what_they_look_for(header: JobHeader, body: bytes) -> None:
    """The patterns of `claim.lua` and `reap.lua`, as Python writes them."""
    frame = encode(header, body)

    claimed = re.match(rb'\{"v":[0-9][0-9]?[0-9]?,"crc":"[0-9a-fA-F]+","id":"([0-9A-Za-z.]+)","n":([0-9]+),', frame)
    assert claimed
    assert claimed.groups() == (b"w1.7", b"%d" % header.n)
    reaped = re.search(rb',"at":([0-9]+)', frame)
    assert reaped
    assert reaped[1] == b"%d" % header.at


@given(HEADERS, BODIES)
def test_the_first_line_is_json_and_the_rest_is_the_body(header: JobHeader | ReplyHeader, body: bytes) -> None:
    """So that a person can read the queue, and the machine need not read the body."""
    line, _, rest = encode(header, body).partition(b"\n")

    fields = json.loads(line)
    assert (fields["v"], fields["id"], rest) == (VERSION, header.id, body)


@pytest.mark.parametrize("raw", [b"\xff", b"text/plain; charset=\xe9"])
@pytest.mark.parametrize("kind", [JobHeader, ReplyHeader])
def test_a_content_type_that_is_no_utf8_can_be_framed(raw: bytes, kind: type[JobHeader | ReplyHeader]) -> None:
    """Aiohttp gives such a header of a client, or of the upstream, as text with lone surrogates."""
    content_type = raw.decode("utf-8", "surrogateescape")
    header: JobHeader | ReplyHeader
    if kind is JobHeader:
        header = JobHeader("w1.7", 1, 1, 2, "/embed", "verbatim", content_type=content_type)
    else:
        header = ReplyHeader("w1.7", 200, content_type=content_type)

    assert encode(header, b"body").endswith(b"\nbody")


@pytest.mark.parametrize(
    "header",
    [
        ReplyHeader("w.1", 0),
        ReplyHeader("w.1", 99),
        ReplyHeader("w.1", 600),
        ReplyHeader("w.1", -200),
        ReplyHeader("w.1", 200, queue_us=10**400),
        ReplyHeader("w.1", 200, upstream_us=-1),
        ReplyHeader("w.1", 200, batch=2**54),
        ReplyHeader("w.1", 200, tokens=[-1]),
    ],
)
def test_a_reply_that_could_not_be_passed_on_is_refused(header: ReplyHeader) -> None:
    line = json.dumps(msgspec.structs.asdict(header)).encode()[1:] + b"\n[]"
    assert is_refused(decode_reply, with_true_checksum(line))


@pytest.mark.parametrize(
    "header",
    [
        JobHeader("w.1", 0, 1, 2, "/embed"),
        JobHeader("w.1", -1, 1, 2, "/embed"),
        JobHeader("w.1", 10**400, 1, 2, "/embed"),
        JobHeader("w.1", INPUTS_MAX + 1, 1, 2, "/embed"),
        JobHeader("w.1", 1, 1, 10**400, "/embed"),
        JobHeader("w.1", 1, 1, 2, "/embed", longest=-1),
    ],
)
def test_a_job_that_could_not_be_worked_on_is_refused(header: JobHeader) -> None:
    line = json.dumps(msgspec.structs.asdict(header)).encode()[1:] + b"\n[]"
    assert is_refused(decode_job, with_true_checksum(line))
