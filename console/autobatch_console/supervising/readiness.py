"""Ask a part whether it works. Any failure is a no; who asks again, and until when, is the caller's affair."""

import asyncio

from autobatch_console.up.parts import Ready

ANSWER_S = 2.0  # a busy part is asked again
PAUSE_S = 0.05  # between two questions while a part starts

_QUESTIONS = {
    "http": b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "redis": b"PING\r\n",
}
_YES = {"http": b" 200 ", "redis": b"+PONG"}


async def is_ready(ready: Ready) -> bool:
    """Ask once."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return _YES[ready.protocol] in await _first_line(ready)
    except (OSError, TimeoutError, ValueError):
        return False


async def until_ready(ready: Ready) -> None:
    """Ask until the answer is yes. The caller sets the deadline."""
    while not await is_ready(ready):  # noqa: ASYNC110  # nothing in another process sets our events
        await asyncio.sleep(PAUSE_S)


async def _first_line(ready: Ready) -> bytes:
    if ready.socket is not None:
        reader, writer = await asyncio.open_unix_connection(str(ready.socket))
    else:
        reader, writer = await asyncio.open_connection(ready.host, ready.port)
    try:
        writer.write(_QUESTIONS[ready.protocol])
        return await reader.readline()
    finally:
        writer.close()
