"""Values from Redis: each is a complete frame of ours, or it is refused, whatever wrote it."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from zlib import crc32

import hiredis

from autobatch_proxy.dialects.error_shapes import OPENAI_ERRORS
from autobatch_proxy.http.answers import AnswerNotes, WholeResponse, answer
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract import frames
from autobatch_shared.contract.errors import FrameOfAnotherVersion, MalformedFrame, QueueUnavailable
from autobatch_shared.contract.frames import JobHeader, ReplyHeader
from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.status import Fleet
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.batcher_queue import BatcherQueue, Claim
from autobatch_shared.redis.commands import Command
from autobatch_shared.redis.result_cache import sealed, unsealed
from autobatch_shared.redis.session import RedisSession
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.fuzz.answers import check_fleet

HEAD = b'{"v":%d,"crc":"' % frames.VERSION
FLIPS_MAX = 64
NOWHERE = Address("queue", 6379, None, 0, None, None, None)
# hiredis allocates as many elements as an array announces, without a limit.
_is_too_long = re.compile(rb"[*%~>|]\+?\d{6}").search


def check_frames(data: bytes) -> None:
    """It is refused, or it is a frame that is equal when it is written again; with one bit changed it is refused."""
    for decode in (frames.decode_job, frames.decode_reply):
        header_and_body = _decoded(decode, data)
        if header_and_body is None:
            continue
        header, body = header_and_body
        assert decode(frames.encode(header, body)) == (header, body)
        for bit in range(0, len(data) * 8, max(1, len(data) * 8 // FLIPS_MAX)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            assert _decoded(decode, bytes(flipped)) is None
    frames.id_in_queue(data)


def check_framed(data: bytes) -> None:
    """The same with a valid checksum, so that the code behind it is reached: the header of a hostile writer."""
    check_frames(b'%b%08x",%b' % (HEAD, crc32(data), data))
    check_frames(b'%b%08x",%b' % (HEAD, crc32(data + b"\n[]"), data + b"\n[]"))


def check_replies(data: bytes) -> None:
    """Whatever reply a worker reads, its client gets an answer: its head has only our own lines."""
    found = _decoded(frames.decode_reply, b'%b%08x",%b' % (HEAD, crc32(data), data))
    if found is None:
        return
    header, body = found
    assert isinstance(header, ReplyHeader)
    plan = Plan([PlannedJob(1, "merge", b'["a"]')], "/embed", characters=1)
    for errors in (None, OPENAI_ERRORS):
        response = answer(plan, [(header, body)], AnswerNotes(b"", 1, ""), errors)
        assert 200 <= response.status < 600
        lines = response.whole.lines.splitlines() if isinstance(response, WholeResponse) else []
        assert all(line.partition(b":")[0].lower().startswith((b"x-", b"server-timing")) for line in lines)
        for name, value in response.headers.items():
            assert not set("\r\n\0") & set(name + value)


def check_jobs(data: bytes) -> None:
    """A batcher takes any value in the queue as a job, or puts it aside."""
    found = _decoded(frames.decode_job, b'%b%08x",%b' % (HEAD, crc32(data), data))
    if found is not None:
        header, _ = found
        assert isinstance(header, JobHeader)
        assert header.n >= 1


def check_cached(data: bytes) -> None:
    """A value is a row only under its own name, and only with every bit unchanged."""
    assert unsealed("n" * 32, data) is None or sealed("n" * 32, data[8:]) == data
    value = sealed("n" * 32, data)
    assert unsealed("n" * 32, value) == data
    assert unsealed("m" * 32, value) is None
    for bit in range(0, len(value) * 8, max(1, len(value) * 8 // FLIPS_MAX)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        assert unsealed("n" * 32, bytes(flipped)) is None


def check_reports(data: bytes) -> None:
    """Any report of a batcher: it is read or skipped, and the fleet stays usable."""
    for moment in (0, 10**12):
        check_fleet(Fleet([data, b'{"at":0,"held":0,"upstreams":[]}'], moment))


def check_stream(data: bytes) -> None:
    """Any bytes from Redis's side of a connection: every command ends with a reply or with the one error."""
    if _is_too_long(data):
        return
    loop = _loop()
    session = RedisSession(NOWHERE, loop, 60.0)
    session.connection_made(_Transport(session))
    waiting = [session.execute(("PING",)) for _ in range(4)]
    middle = len(data) // 2
    for part in (data[:middle], data[middle:]):
        if not session.ended.done():
            session.data_received(part)
    session.connection_lost(None)
    loop.run_until_complete(asyncio.sleep(0))
    for future in waiting:
        assert future.done()
        assert future.exception() is None or isinstance(future.exception(), QueueUnavailable)


def check_commands(data: bytes) -> None:
    """Any reply to each of our commands: the expected type, or the one error."""
    if _is_too_long(data):
        return
    reader = hiredis.Reader()
    reader.feed(data)
    try:
        reply = reader.gets()
    except (hiredis.ProtocolError, TypeError):
        return  # which the link ensures: `check_stream`
    if reply is False or isinstance(reply, Exception):
        return
    link = _Replying(reply)
    worker = WorkerQueue(link, link, Keys("fuzz"), "w")
    batcher = BatcherQueue(link, link, Keys("fuzz"), "b", lease_ms=1, reply_ttl_ms=1)

    async def all_commands() -> None:
        for coroutine in (
            worker.push([(False, [b"x"])], 9),
            worker.pop_inbox(0.1),
            worker.pop_and_read(0.1, ["w.1", "w.2"]),
            worker.read_replies(["w.1", "w.2"]),
            worker.epoch(),
            worker.redis_ms(),
            batcher.watch(0.1),
            batcher.claim(1, 1),
            batcher.watch_and_claim(0.1, 1, 1, 1, 1),
            batcher.claimed(),
            batcher.renew(),
            batcher.reap(),
        ):
            with suppress(QueueUnavailable):
                _check_shape(await coroutine)

    _loop().run_until_complete(all_commands())


def _check_shape(found: Any) -> None:
    """Its callers need no further checks."""
    if isinstance(found, Claim):
        assert all(isinstance(frame, bytes) for frame in (*found.suspects, *found.fresh, *found.bulk))
        assert isinstance(found.redis_ms, int)
    elif isinstance(found, tuple):
        given_back, doomed = found
        assert isinstance(given_back, int)
        assert all(isinstance(frame, bytes) for frame in doomed)
    elif isinstance(found, dict):
        assert all(isinstance(each, bytes) for each in found.values())
    elif isinstance(found, list):
        assert all(each is None or isinstance(each, bytes | str) for each in found)


class _Replying:
    """A link that gives one reply to everything."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply

    async def execute(self, *_args: str | bytes | int) -> Any:
        return self._reply

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        return [self._reply for _ in commands]


class _Transport(asyncio.Transport):
    def __init__(self, session: RedisSession) -> None:
        self._session = session

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        if not self._session.ended.done():
            self._session.connection_lost(None)


_loops: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    """One loop for all executions."""
    if not _loops:
        _loops.append(asyncio.new_event_loop())
    return _loops[0]


def _check_version_fault(error: FrameOfAnotherVersion, data: bytes) -> None:
    """It goes to the job that was claimed, in the version of its worker."""
    assert error.job == frames.id_in_queue(data)
    reply = frames.version_fault(error)
    begin, ours = b'{"v":%d,' % error.version, b'{"v":%d,' % frames.VERSION
    assert reply.startswith(begin)
    header, _ = frames.decode_reply(reply.replace(begin, ours, 1))
    assert (error.job, QueueUnavailable.code) == (header.id, header.fault)


def _decoded(decode: Callable[[bytes], tuple[JobHeader | ReplyHeader, bytes]], data: bytes) -> tuple[Any, bytes] | None:
    try:
        return decode(data)
    except FrameOfAnotherVersion as error:
        _check_version_fault(error, data)
        return None
    except MalformedFrame:
        return None
