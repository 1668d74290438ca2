"""Bad input on raw sockets, at nginx and at a worker: each gets an answer, and nothing else changes.

One system for all cases. Whatever is sent, the same processes keep running, a client on another connection keeps
getting its own vectors, and no log contains a word of any body.
"""

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import orjson
import pytest
import pytest_asyncio

from autobatch_console.up import nginx_files, programs
from tests.e2e.abuse_cases import CASES, CLOSED, CUT, LIMIT_S, SECRET, TEXT, AbuseCase
from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.raw_http import RawAnswer, RawConnection, raw_connection, request
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

EDGES = pytest.mark.parametrize("edge", ["nginx", "worker"])
NGINX = next(iter(programs.nginx_candidates(programs.search_path())))
PAYLOAD_LIMIT = 2_000_000
SLOW_S = 2  # nginx's timeouts in these tests, instead of 15 and 30 s
GROWTH_MAX_MB = 40  # of a process, over all that is sent to it; less than half of one body of 100 MB


@dataclass
class Neighbour:
    """Sends one request at a time on a connection of its own, and checks each answer."""

    url: str
    right: int = 0
    wrong: list[str] = field(default_factory=list)

    async def ask_for_ever(self, http: aiohttp.ClientSession) -> None:
        """Until cancelled."""
        while True:
            text = f"neighbour {self.right}"
            try:
                async with http.post(f"{self.url}/embed", json={"inputs": text}) as answer:
                    found = answer.status, orjson.loads(await answer.read())
            except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
                found = 0, repr(error)
            if found == (200, [vector(text)]):
                self.right += 1
            else:
                self.wrong.append(str(found)[:200])
            await asyncio.sleep(0.02)


@dataclass
class Site:
    """The running system."""

    folder: Path
    ports: dict[str, int]
    proxy: Process
    batcher: Process
    nginx: "subprocess.Popen[bytes]"
    neighbours: list[Neighbour]

    def pids(self) -> dict[str, list[int]]:
        """Every process, by its role."""
        return {
            "worker": self.proxy.children(),
            "batcher": [self.batcher.pid],
            "nginx": children_of(self.nginx.pid),
        }

    def peaks_mb(self) -> dict[int, float]:
        """The most memory that each process has had."""
        return {pid: peak_mb(pid) for pids in self.pids().values() for pid in pids}

    def logs(self) -> bytes:
        """The logs of all processes."""
        return b"".join(path.read_bytes() for path in self.folder.glob("*.log"))


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ab-")))
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        redis.start()
        upstream = FakeUpstream()
        await upstream.start()
        stack.push_async_callback(upstream.stop)
        ports = {"nginx": free_port(), "worker": free_port()}
        batcher = Process(folder, "batcher", redis_url=redis.url, inference_url=upstream.url, batcher_port=0)
        stack.callback(batcher.close)
        proxy = Process(folder, "proxy", host="127.0.0.1", port=ports["worker"], web_concurrency=1, redis_url=redis.url)
        stack.callback(proxy.close)
        listen = nginx_files.listen_conf(
            "127.0.0.1",
            ports["nginx"],
            payload_limit=PAYLOAD_LIMIT,
            request_timeout_ms=30_000,
            access_log=str(folder / "access.log"),
        )
        listen += f"client_header_timeout {SLOW_S}s;\nclient_body_timeout {SLOW_S}s;\nlingering_timeout 1s;\n"
        nginx_files.write(folder / "nginx", f"server 127.0.0.1:{ports['worker']};\n", listen)
        with (folder / "nginx.log").open("wb") as log:
            argv = nginx_files.argv(NGINX, folder / "nginx")
            nginx = await asyncio.to_thread(subprocess.Popen, argv, stderr=log, start_new_session=True)
        stack.callback(nginx.wait)
        stack.callback(nginx.send_signal, signal.SIGTERM)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT_S)))

        async def is_up() -> bool:
            with suppress(aiohttp.ClientError):
                async with http.get(f"http://127.0.0.1:{ports['nginx']}/health") as answer:
                    return answer.status == 200
            return False

        await wait_until(is_up)
        neighbours = [Neighbour(f"http://127.0.0.1:{port}") for port in ports.values()]
        asking = [asyncio.create_task(each.ask_for_ever(http)) for each in neighbours]
        yield Site(folder, ports, proxy, batcher, nginx, neighbours)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="module")
async def house(site: Site) -> AsyncIterator[Site]:
    """The system, which must be unchanged after the test."""
    pids, right = site.pids(), [each.right for each in site.neighbours]
    yield site
    await wait_until(lambda: all(each.right > before for each, before in zip(site.neighbours, right, strict=True)))
    assert [each.wrong for each in site.neighbours] == [[], []]
    assert site.pids() == pids
    assert SECRET not in site.logs()


@EDGES
@pytest.mark.parametrize("name", CASES)
async def test_whatever_is_sent_is_answered_and_harms_nobody(house: Site, edge: str, name: str) -> None:
    case = CASES[name]
    async with raw_connection(house.ports[edge]) as connection, asyncio.timeout(2 * LIMIT_S):
        answer = await sent(connection, case)

        assert (answer.status if answer else CLOSED) in case.allowed, answer
        if answer is not None and not case.stops_sending:
            assert await is_ended_or_usable(connection), "left hanging"


async def sent(connection: RawConnection, case: AbuseCase) -> RawAnswer | None:
    """Send it all, as far as it is accepted, and return the first answer."""
    sending = asyncio.create_task(connection.send(case.send()))
    try:
        async with asyncio.timeout(LIMIT_S):
            if case.stops_sending:
                await sending
                connection.stop_sending()
            return await connection.answer()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def is_ended_or_usable(connection: RawConnection) -> bool:
    """Whether the connection has ended, ends now, or takes another request."""
    await connection.send([request(start=b"GET /health HTTP/1.1", length=False)])
    try:
        async with asyncio.timeout(LIMIT_S):
            answer = await connection.answer()
    except TimeoutError:
        return False
    return answer is None or answer.status < 500


@EDGES
async def test_a_hundred_requests_at_once_on_one_connection_are_answered_in_order(house: Site, edge: str) -> None:
    texts = [f"pipelined {number}" for number in range(100)]
    async with raw_connection(house.ports[edge]) as connection, asyncio.timeout(LIMIT_S):
        await connection.send([b"".join(request(json.dumps({"inputs": text}).encode()) for text in texts)])

        answers = [await connection.answer() for _ in texts]

    assert [(200, [vector(text)]) for text in texts] == [
        (answer.status, orjson.loads(answer.body)) for answer in answers if answer
    ]


@EDGES
async def test_what_follows_a_refused_framing_is_no_request(house: Site, edge: str) -> None:
    """A second request that hides behind an ambiguous length must not be answered at all."""
    hidden = request(b"", start=b"GET /metrics HTTP/1.1", length=False)
    for lines in ((b"Transfer-Encoding: chunked",), (b"Content-Length: 5",)):
        async with raw_connection(house.ports[edge]) as connection, asyncio.timeout(LIMIT_S):
            await connection.send([request(b"0\r\n\r\n", *lines) + hidden])
            first, second = await connection.answer(), await connection.answer()
        assert first is not None
        assert (first.status, second) == (400, None)


async def test_a_head_that_comes_slowly_loses_its_connection(house: Site) -> None:
    async with raw_connection(house.ports["nginx"]) as connection, asyncio.timeout(LIMIT_S):

        async def drip() -> None:
            for byte in request(TEXT):
                await connection.send([bytes([byte])])
                await asyncio.sleep(SLOW_S / 5)

        dripping = asyncio.create_task(drip())
        answer = await connection.answer()
        dripping.cancel()

    assert answer is None or answer.status == 408


async def test_a_hundred_slow_connections_hold_up_nobody(house: Site) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(100):
            for port in house.ports.values():
                connection = await stack.enter_async_context(raw_connection(port))
                await connection.send([request(TEXT)[:60]])
        before = [each.right for each in house.neighbours]
        await wait_until(
            lambda: all(each.right > right + 5 for each, right in zip(house.neighbours, before, strict=True))
        )


@EDGES
async def test_large_bodies_cost_little_memory(house: Site, edge: str) -> None:
    before = house.peaks_mb()
    for name in ("100 MB", "100 MB in chunks"):
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(raw_connection(house.ports[edge])) for _ in range(4)]
            answers = await asyncio.gather(*(sent(connection, CUT[name]) for connection in connections))
            assert [answer.status for answer in answers if answer] == [413] * 4
    grown = {pid: peak - before[pid] for pid, peak in house.peaks_mb().items()}
    assert max(grown.values()) < GROWTH_MAX_MB


async def test_every_line_of_nginxs_log_is_json_in_utf8(house: Site) -> None:
    sent_lines = (b"User-Agent: \xff", b"x-request-id: \xff", b"x-request-id: " + b"i" * 129, b'User-Agent: "\\\t')
    for number, line in enumerate(sent_lines):
        async with raw_connection(house.ports["nginx"]) as connection, asyncio.timeout(LIMIT_S):
            head = b"GET /log-%d?%b HTTP/1.1" % (number, b"\xff" if number % 2 else b"")
            await connection.send([request(b"", line, start=head, length=False)])
            answer = await connection.answer()
            assert answer is not None
            assert answer.headers["x-request-id"].isascii()
            assert len(answer.headers["x-request-id"]) == 32

    def lines() -> list[bytes]:
        return (house.folder / "access.log").read_bytes().splitlines()

    await wait_until(lambda: all(any(b"/log-%d" % n in line for line in lines()) for n in (0, 2)))
    for line in lines():
        json.loads(line.decode())


@pytest.mark.parametrize("name", ["a header of 100 kB", "10,000 headers"])
async def test_what_nginx_refuses_for_its_headers_has_the_upstreams_shape(house: Site, name: str) -> None:
    async with raw_connection(house.ports["nginx"]) as connection, asyncio.timeout(LIMIT_S):
        answer = await sent(connection, CASES[name])
        assert answer is not None
        said = orjson.loads(answer.body)
        assert (answer.status, said.keys(), said["error_type"]) == (400, {"error", "error_type"}, "Validation")
        assert "headers are too large" in said["error"]
