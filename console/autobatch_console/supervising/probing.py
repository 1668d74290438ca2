"""Ask a part whether it is ready.

Any failure means that it is not; the caller decides whether to ask again, and until when.
"""

import asyncio

from autobatch_console.up.parts import Ready

ANSWER_S = 2.0  # a busy part is asked again
PAUSE_S = 0.05  # between two requests while a part starts

_REQUESTS = {
    "http": b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "redis": b"PING\r\n",
}
_READY = {"http": b" 200 ", "redis": b"+PONG"}


async def is_ready(ready: Ready) -> bool:
    """Ask once."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return _READY[ready.protocol] in await _first_line(ready)
    except (OSError, TimeoutError, ValueError):
        return False


async def until_ready(ready: Ready) -> None:
    """Ask until it is ready. The caller sets the deadline."""
    while not await is_ready(ready):  # noqa: ASYNC110  # nothing in another process sets our events
        await asyncio.sleep(PAUSE_S)


async def _first_line(ready: Ready) -> bytes:
    if ready.socket is not None:
        reader, writer = await asyncio.open_unix_connection(str(ready.socket))
    else:
        reader, writer = await asyncio.open_connection(ready.host, ready.port)
    try:
        writer.write(_REQUESTS[ready.protocol])
        return await reader.readline()
    finally:
        writer.close()
