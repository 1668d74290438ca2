"""The guard keeps every SDK on this machine, and records what it refused."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from tests.clients.harness.offline import Offline

ELSEWHERE = "192.0.2.1"  # reserved for documentation: no host has it


async def _ask_loop() -> None:
    await asyncio.open_connection(ELSEWHERE, 80)


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.getaddrinfo("elsewhere.example", 80),
        lambda: socket.create_connection((ELSEWHERE, 80), 1),
        lambda: asyncio.run(_ask_loop()),
    ],
)
def test_a_connection_to_another_host_is_refused_and_recorded(offline: Offline, reach: Callable[[], object]) -> None:
    with pytest.raises(OSError, match="only this machine"):
        reach()
    assert offline.refused.pop() in {"elsewhere.example", ELSEWHERE}
    assert offline.refused == []


def test_this_machine_is_reached(offline: Offline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), 5).close()
    assert offline.refused == []
