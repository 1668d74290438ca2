"""HTTP as bytes on a socket: requests that no client library would send, and their answers, one at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 65_536


@dataclass
class RawAnswer:
    """One answer; status 9 is one of HTTP/0.9, a body without a head."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class RawConnection:
    """A connection that can send any bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, parts: Iterable[bytes]) -> None:
        """Send as much as the other side accepts; it may close the connection before the end."""
        with suppress(ConnectionError):
            for part in parts:
                self._writer.write(part)
                await self._writer.drain()

    def stop_sending(self) -> None:
        """Close our half."""
        with suppress(OSError):
            self._writer.write_eof()

    async def answer(self) -> RawAnswer | None:
        """Return the next final answer; None if the connection ends instead."""
        while True:
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                return RawAnswer(9, body=error.partial) if error.partial else None
            except ConnectionError:
                return None
            lines = head.decode("latin-1").split("\r\n")
            if not lines[0].startswith("HTTP/1."):
                return RawAnswer(9, body=head)
            status = int(lines[0].split()[1])
            if status >= 200:
                break
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        try:
            return RawAnswer(status, headers, await self._body(status, headers))
        except (ConnectionError, asyncio.IncompleteReadError):
            return RawAnswer(status, headers, b"broken off")

    async def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", ""):
            body = b""
            while size := int(await self._reader.readline(), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readline()
            return body
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return b"" if status in (204, 304) else await self._reader.read()


@asynccontextmanager
async def raw_connection(port: int) -> AsyncIterator[RawConnection]:
    """Connect, and abort the connection at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()


async def wait_until_refused(port: int) -> None:
    """Return once nothing listens there."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # closed while the connection was in the backlog
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def request(
    body: bytes = b"", *lines: bytes, start: bytes = b"POST /embed HTTP/1.1", length: bool = True, is_json: bool = True
) -> bytes:
    """Return a request of these header lines, with a host, a length and a type unless they are turned off."""
    said = [b"Host: a", *lines]
    if is_json:
        said.append(b"Content-Type: application/json")
    if length:
        said.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([start, *said, b"", body])


def chunked(*chunks: bytes) -> bytes:
    """Return a body in chunks, with the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
