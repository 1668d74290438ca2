"""Ports for servers that a test starts. Nothing of the project is imported: the environments of the clients have none of it."""

import random
import socket
from contextlib import ExitStack, suppress

#: Below those of outgoing connections: one of these could take the port while there is no listener.
PORTS = range(20_000, 32_000)

_chosen = random.SystemRandom()  # two runs with the same seed would choose the same ports
_given: set[int] = set()


def free_port(host: str = "127.0.0.1", *, neighbours: int = 0) -> int:
    """Return a TCP port that is free, with so many after it, and that this process was not given before."""
    while True:
        first = _chosen.choice(PORTS)
        ports = range(first, first + 1 + neighbours)
        with ExitStack() as stack, suppress(OSError):
            for port in ports:
                stack.enter_context(socket.socket()).bind((host, port))
            if _given.isdisjoint(ports):
                _given.update(ports)
                return first
