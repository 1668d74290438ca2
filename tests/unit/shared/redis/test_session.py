"""What a session makes of Redis's refusals."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.commands import NotTheMaster, OutOfMemoryError, ReplyError
from autobatch_shared.redis.session import RedisSession
from tests.support.waiting import wait_until

MULTI, QUEUED = b"+OK\r\n", b"+QUEUED\r\n"
DISCARDED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
ELSEWHERE = [
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MOVED 1234 127.0.0.1:7001",
    "CLUSTERDOWN Hash slot not served",
    "LOADING Redis is loading the dataset in memory",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "NOREPLICAS Not enough good replicas to write.",
]
HERE = [
    "ERR unknown command",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Redis is configured to save RDB snapshots",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "ASK 1234 127.0.0.1:7001",
]


class SilentTransport(asyncio.Transport):
    """Takes what is written, and is closed."""

    is_aborted = False

    def write(self, data: Any) -> None:
        """Ignore it."""

    def abort(self) -> None:
        self.is_aborted = True


@pytest.fixture
async def wire() -> SilentTransport:
    return SilentTransport()


@pytest.fixture
async def session(wire: SilentTransport) -> AsyncIterator[RedisSession]:
    session = RedisSession(Address.from_url("redis://queue"), asyncio.get_running_loop(), 60.0)
    session.connection_made(wire)
    yield session
    session.connection_lost(None)


class CrampedTransport(SilentTransport):
    """Has no memory for what is written."""

    def write(self, _data: Any) -> None:
        raise MemoryError


IN_LITTLE_MEMORY = """
import asyncio, resource
from pathlib import Path
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.session import RedisSession

async def main():
    session = RedisSession(Address.from_url("redis://queue"), asyncio.get_running_loop(), 60.0)
    body = bytes(64_000_000)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 16_000_000,) * 2)
    try:
        session.execute(("SET", "a", body))
    except MemoryError:
        print("MemoryError")

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")
def test_a_command_that_there_is_no_memory_for_says_so() -> None:
    """All that hiredis says of it is that it failed to serialize the command."""
    run = subprocess.run([sys.executable, "-c", IN_LITTLE_MEMORY], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("MemoryError\n", "")


async def test_a_session_that_cannot_write_for_want_of_memory_ends() -> None:
    """It would send nothing any more, and the commands would wait until its silence is noticed."""
    wire = CrampedTransport()
    session = RedisSession(Address.from_url("redis://queue"), asyncio.get_running_loop(), 60.0)
    session.connection_made(wire)
    command = session.execute(("SET", "a", "b"))
    await wait_until(lambda: wire.is_aborted)
    session.connection_lost(None)
    with pytest.raises(QueueUnavailable):
        await command


@pytest.mark.parametrize("said", ELSEWHERE)
async def test_a_server_that_is_not_the_master_is_left(session: RedisSession, wire: SilentTransport, said: str) -> None:
    left: list[bool] = []
    session.on_lost = lambda: left.append(True)
    command = session.execute(("SET", "a", "b"))
    session.data_received(f"-{said}\r\n".encode())
    with pytest.raises(NotTheMaster, match=said.split(maxsplit=1)[0]):
        await command
    assert left == [True]
    assert wire.is_aborted


@pytest.mark.parametrize("said", HERE)
async def test_another_refusal_leaves_the_session_as_it_is(
    session: RedisSession, wire: SilentTransport, said: str
) -> None:
    command = session.execute(("SET", "a", "b"))
    session.data_received(f"-{said}\r\n".encode())
    with pytest.raises(ReplyError, match=said.split(maxsplit=1)[0]):
        await command
    assert not wire.is_aborted


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", OutOfMemoryError),
        ("READONLY You can't write against a read only replica.", NotTheMaster),
        ("NOPERM this user has no permissions to run the 'set' command", ReplyError),
    ],
)
async def test_a_discarded_transaction_fails_with_its_first_cause(
    session: RedisSession, said: str, error: type[ReplyError]
) -> None:
    steps = session.transaction([("SET", "a", "b"), ("SET", "c", "d"), ("GET", "a")])
    session.data_received(MULTI + f"-{said}\r\n-ERR the second\r\n".encode() + QUEUED + DISCARDED)
    with pytest.raises(ReplyError) as caught:
        await steps
    assert (type(caught.value), str(caught.value)) == (error, said)


async def test_the_cause_of_one_transaction_is_not_that_of_the_next(session: RedisSession) -> None:
    refused, unexplained = (session.transaction([("SET", "a", "b")]) for _ in range(2))
    session.data_received(MULTI + b"-OOM command not allowed\r\n" + DISCARDED + MULTI + QUEUED + DISCARDED)
    with pytest.raises(OutOfMemoryError):
        await refused
    with pytest.raises(ReplyError, match="EXECABORT") as caught:
        await unexplained
    assert not isinstance(caught.value, OutOfMemoryError)
