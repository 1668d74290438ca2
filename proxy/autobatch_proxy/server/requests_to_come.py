"""Before a worker ends its connections: read the requests that clients have begun to send.

From the moment when aiohttp ends a connection it reads nothing more of it, also where a client connected just before and has
not yet sent its request, or has sent half of a body. Both would be lost, with nothing that says why.

A connection between two requests is not waited for. A client that sends its next one just when a server ends the connection
cannot know whether it was read: HTTP leaves that to the client, which may send it again.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from autobatch_shared.bell import pause

FIRST_REQUEST_S = 1.0  # from the end of accepting: a client sends its request a round trip after it has connected
LOOK_EVERY_S = 0.01  # only while a worker stops: that a body is whole is not announced


class IncomingConnection(Protocol):
    """What is asked of a connection."""

    @property
    def is_new(self) -> bool:
        """Whether it was made, and has brought no request."""

    @property
    def is_receiving(self) -> bool:
        """Whether a handler has its request, whose body is not whole."""


async def let_come(connections: Callable[[], Iterable[IncomingConnection]], body_max_s: float) -> None:
    """Return once no request is to come, or not in time.

    Args:
        connections: Returns all connections that the server has now. No more are accepted.
        body_max_s: Seconds for the rest of a body.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        await pause(LOOK_EVERY_S)  # first of all: one that was accepted last is made in the loop's next turns
        took_s = loop.time() - began_s
        if not any(
            (each.is_new and took_s < FIRST_REQUEST_S) or (each.is_receiving and took_s < body_max_s)
            for each in connections()
        ):
            return
