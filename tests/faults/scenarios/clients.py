"""Clients that disconnect, send slowly, or only hold a connection; the others must not be affected."""

import asyncio
from contextlib import suppress

from autobatch_bench.checking.oracle import answer
from tests.faults.campaign import Act, Scenario
from tests.faults.steps import lasts

LEAVERS = 60
SLOW = 50
IDLE = 5000
OPENED_AT_ONCE = 250


async def leave(act: Act, patience_s: float, text: str) -> None:
    """Send a request, and disconnect after a delay."""
    _, writer = await asyncio.open_connection("127.0.0.1", act.world.nginx_port)
    writer.write(request(text))
    await lasts(patience_s)
    writer.transport.abort()


def request(text: str) -> bytes:
    body = b'{"inputs":"%b"}' % text.encode()
    head = b"POST /embed HTTP/1.1\r\nHost: f\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def leave_before(act: Act) -> None:
    """While their jobs wait: the upstream takes no more calls."""
    await act.world.behave("gate")
    await lasts(0.3)
    await asyncio.gather(*(leave(act, 0.3, f"leaves before {number}") for number in range(LEAVERS)))
    await act.world.behave("good")


async def leave_during(act: Act) -> None:
    """While their batch is computed, and just when its answer comes."""
    await act.world.behave("slow")
    for number in range(LEAVERS):
        await leave(act, 0.01 + 0.0005 * number, f"leaves during {number}")
    await act.world.behave("good")


async def leave_after(act: Act) -> None:
    """About when the answer is on its way."""
    for number in range(LEAVERS):
        await leave(act, 0.005 + 0.0005 * number, f"leaves after {number}")


async def dawdle(act: Act, text: str) -> None:
    """Send byte by byte for a second, and be answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", act.world.nginx_port)
    data = request(text)
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await lasts(1 / len(data))
    await reader.readuntil(b"\r\n\r\n")
    expected = answer([text])
    assert await reader.readexactly(len(expected)) == expected
    writer.close()


async def send_slowly(act: Act) -> None:
    await asyncio.gather(*(dawdle(act, f"comes slowly {number}") for number in range(SLOW)))


async def hold(act: Act, count: int, data: bytes) -> None:
    """Open so many connections, send this on each, hold them for a second."""
    opened: list[asyncio.StreamWriter] = []
    while len(opened) < count:
        some = min(OPENED_AT_ONCE, count - len(opened))
        pairs = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", act.world.nginx_port) for _ in range(some)))
        opened += [writer for _, writer in pairs]
    for writer in opened:
        writer.write(data)
    await lasts(1)
    for writer in opened:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def send_nothing(act: Act) -> None:
    await hold(act, IDLE, b"")


async def send_half(act: Act) -> None:
    await hold(
        act, 500, b"POST /embed HTTP/1.1\r\nHost: f\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )


SCENARIOS = [
    Scenario(f"{LEAVERS} clients leave before their batch", leave_before),
    Scenario(f"{LEAVERS} clients leave during their batch", leave_during),
    Scenario(f"{LEAVERS} clients leave when the answer comes", leave_after),
    Scenario(f"{SLOW} clients send for a second", send_slowly),
    Scenario("500 clients stop in mid-body", send_half),
    Scenario(f"{IDLE} idle connections", send_nothing),
]
