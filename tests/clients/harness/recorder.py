"""A relay between a client and the system: it forwards every byte unchanged and keeps the client's requests.

Standard library only: the environments of the clients have nothing else. It opens one connection to the system for each
connection of the client, so that the system sees how the client uses connections.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

CONNECTIONS_WAITING_MAX = 1024  # a hundred callers connect at once
HEAD_BYTES_MAX = 64 * 1024
START_S = 60

Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request of a client."""

    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        path: With its query.
        batch_size: `x-batch-size` of the answer: inputs in the largest upstream call that answered it. 0: none was
            made.
    """

    method: str
    path: str
    body: bytes
    status: int
    batch_size: int


class Recorder:
    """The requests to `url`, in the order of their answers."""

    def __init__(self) -> None:
        self.url = ""
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()

    def keep(self, exchange: Exchange) -> None:
        """Add an exchange; called before its answer reaches the client."""
        with self._lock:
            self._exchanges.append(exchange)

    def take(self) -> list[Exchange]:
        """Return the exchanges since the last call."""
        with self._lock:
            taken, self._exchanges = self._exchanges, []
        return taken


@contextmanager
def recording(system_url: str) -> Iterator[Recorder]:
    """Run a relay in front of a system, on a thread of its own."""
    started = Future[tuple[str, Callable[[], object]]]()
    recorder = Recorder()
    thread = threading.Thread(target=asyncio.run, args=(_serve(system_url, recorder, started),), name="recorder")
    thread.start()
    recorder.url, stop = started.result(START_S)
    try:
        yield recorder
    finally:
        stop()
        thread.join()


async def _serve(system_url: str, recorder: Recorder, started: Future[tuple[str, Callable[[], object]]]) -> None:
    """Relay until stopped; `started` gets the address, and a function that stops it from another thread."""
    system = urlsplit(system_url)

    async def relay(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(system.hostname, system.port, limit=HEAD_BYTES_MAX)
        asked = asyncio.Queue[RecordedRequest]()
        pumps = [
            asyncio.ensure_future(_pass_requests(client, to_server, asked)),
            asyncio.ensure_future(_pass_answers(server, to_client, asked, recorder)),
        ]
        try:  # either side may close the connection
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            to_client.close()
            to_server.close()

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(relay, "127.0.0.1", 0, limit=HEAD_BYTES_MAX, backlog=CONNECTIONS_WAITING_MAX)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    started.set_result((url, lambda: loop.call_soon_threadsafe(stopped.set)))
    await stopped.wait()
    server.close()


async def _pass_requests(
    client: asyncio.StreamReader, to_server: asyncio.StreamWriter, asked: asyncio.Queue[RecordedRequest]
) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await client.readuntil(b"\r\n\r\n")
            method, path, _version = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            await _writing(to_server)(head)
            body = await _pass_body(_fields(head), client, _writing(to_server), until_end=False)
            asked.put_nowait(RecordedRequest(method, path, body))


async def _pass_answers(
    server: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
    asked: asyncio.Queue[RecordedRequest],
    recorder: Recorder,
) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await server.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status < 200:  # "100 Continue": the answer follows
                await _writing(to_client)(head)
                continue
            request = await asked.get()
            fields = _fields(head)
            batch_size = int(fields.get("x-batch-size", "0"))
            recorder.keep(Exchange(request.method, request.path, request.body, status, batch_size))
            await _writing(to_client)(head)
            if request.method != "HEAD" and status not in {204, 304}:
                await _pass_body(fields, server, _writing(to_client), until_end=True)


def _fields(head: bytes) -> Mapping[str, str]:
    """Return the header fields by their names in lower case."""
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def _pass_body(
    fields: Mapping[str, str], source: asyncio.StreamReader, write: Write, *, until_end: bool
) -> bytes:
    """Forward a body with its framing; return its contents. Without a length it is empty, or lasts `until_end`."""
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return await _pass_chunks(source, write)
    if "content-length" in fields:
        body = await source.readexactly(int(fields["content-length"]))
    else:
        body = await source.read() if until_end else b""
    if body:
        await write(body)
    return body


async def _pass_chunks(source: asyncio.StreamReader, write: Write) -> bytes:
    body = b""
    while True:
        line = await source.readuntil(b"\r\n")
        length_bytes = int(line.split(b";", 1)[0], 16)
        if not length_bytes:
            break
        chunk = await source.readexactly(length_bytes + 2)
        await write(line + chunk)
        body += chunk[:-2]
    while line != b"\r\n":  # trailers, and the empty line that ends them
        await write(line)
        line = await source.readuntil(b"\r\n")
    await write(line)
    return body


def _writing(writer: asyncio.StreamWriter) -> Write:
    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    return write
