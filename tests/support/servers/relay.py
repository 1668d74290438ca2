"""A connection between two processes that a test can hold, delay or cut.

TCP or unix sockets, in the test's own loop.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CHUNK_BYTES = 1 << 16
SEEN_S = 20.0

SocketAddress = tuple[str, int] | Path


@dataclass(eq=False)
class Wire:
    """One connection through a relay.

    Attributes:
        to_server: Where the client's bytes go.
        to_client: Where the server's bytes go.
    """

    to_server: asyncio.StreamWriter
    to_client: asyncio.StreamWriter

    def cut(self) -> None:
        """Drop both ends at once."""
        self.to_server.transport.abort()
        self.to_client.transport.abort()


@dataclass(eq=False)
class Way:
    """One direction of a relay.

    Attributes:
        delay_s: The delay of each chunk.
        held: Chunks that are held back, in order, with their wires; None lets chunks pass. An empty chunk is the end.
        under_way: Delayed chunks and the times of their arrival.
        watches: Bytes to find in chunks, the future that waits for them, and a function to call before the chunk is
            forwarded.
    """

    delay_s: float = 0.0
    held: list[tuple[Wire, asyncio.StreamWriter, bytes]] | None = None
    under_way: dict[asyncio.StreamWriter, deque[tuple[float, bytes]]] = field(default_factory=dict)
    watches: list[tuple[bytes, asyncio.Future[Wire], Callable[[], None]]] = field(default_factory=list)

    def hold(self) -> None:
        """Hold everything back from now on."""
        self.held = [] if self.held is None else self.held

    def release(self) -> None:
        """Release what was held, and hold no more."""
        held, self.held = self.held or [], None
        for _, writer, data in held:
            _write(writer, data)

    async def sees(self, pattern: bytes, then: Callable[[], None] = lambda: None) -> Wire:
        """Return the wire of the next chunk in which this is found; `then` is called before the chunk is forwarded."""
        future: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()
        watch = (pattern, future, then)
        self.watches.append(watch)
        try:
            return await asyncio.wait_for(future, SEEN_S)
        finally:
            self.watches.remove(watch)

    def holds(self, pattern: bytes, wire: Wire | None = None) -> bool:
        """Whether a chunk that contains this is held back, on this wire or on any."""
        return any(re.search(pattern, data) for each, _, data in self.held or () if wire in (None, each))

    def carry(self, wire: Wire, writer: asyncio.StreamWriter, data: bytes) -> None:
        for pattern, future, then in self.watches:
            if not future.done() and re.search(pattern, data):
                then()
                future.set_result(wire)
        if self.held is not None:
            self.held.append((wire, writer, data))
        elif self.delay_s or writer in self.under_way:
            self._delay(writer, data)
        else:
            _write(writer, data)

    def _delay(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Write it later, after the chunks that are delayed already."""
        loop = asyncio.get_running_loop()
        chunks = self.under_way.setdefault(writer, deque())
        due_s = max(loop.time() + self.delay_s, chunks[-1][0] if chunks else 0.0)
        chunks.append((due_s, data))
        loop.call_at(due_s, self._arrive, writer)

    def _arrive(self, writer: asyncio.StreamWriter) -> None:
        chunks = self.under_way[writer]
        _, data = chunks.popleft()
        if not chunks:
            del self.under_way[writer]
        _write(writer, data)


class Relay:
    """Listens at `listen`, and connects each client to `target`; a client is dropped if its target is not reachable."""

    def __init__(self, listen: SocketAddress, target: SocketAddress) -> None:
        self.forward = Way()
        self.backward = Way()
        self._listen = listen
        self._target = target
        self._wires: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        if isinstance(self._listen, Path):
            self._server = await asyncio.start_unix_server(self._serve, self._listen, backlog=4096)
        else:
            self._server = await asyncio.start_server(self._serve, *self._listen, backlog=4096)

    def refuse(self) -> None:
        """Stop listening; the connections that there are stay."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """Stop listening, and drop all connections."""
        self.refuse()
        self.cut()
        await asyncio.gather(*self._tasks)  # each ends with its wire

    def lead_to(self, target: SocketAddress) -> None:
        """Connect new clients to another target; the connections that there are stay where they are."""
        self._target = target

    def black_hole(self) -> None:
        """Drop all bytes; connections stay open, and new ones are accepted."""
        self.forward.hold()
        self.backward.hold()

    def slow_down(self, delay_s: float) -> None:
        """Delay bytes in both directions."""
        self.forward.delay_s = self.backward.delay_s = delay_s

    def cut(self) -> None:
        """Drop all connections, and the chunks that were held on them."""
        for wire in list(self._wires):
            wire.cut()
        for way in (self.forward, self.backward):
            way.held = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if isinstance(self._target, Path):
                there, to_server = await asyncio.open_unix_connection(self._target)
            else:
                there, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        wire = Wire(to_server, writer)
        self._wires.add(wire)
        try:
            await asyncio.gather(
                _pump(wire, reader, to_server, self.forward), _pump(wire, there, writer, self.backward)
            )
        finally:
            wire.cut()
            self._wires.discard(wire)


async def _pump(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    """Carry one direction of one wire until it ends; then the other end is closed, too."""
    data = b"-"
    while data:
        data = b""
        with suppress(OSError):
            data = await reader.read(CHUNK_BYTES)
        way.carry(wire, writer, data)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if data and not writer.is_closing():
        writer.write(data)
    elif not data:
        writer.close()
