"""The wires between the processes and Redis: latency, cuts, partitions, and replies that are lost on the way.

Bytes of one connection arrive in order. A message is what one write carries to Redis: all commands of one tick.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.simulation.redis_model.server import ModelServer, Peer
from tests.simulation.timeline import ProcessLoop, Timeline

LATENCY_S = (0.00005, 0.0006)
GAP_S = 1e-6  # between two messages of one connection that would arrive together

#: What may happen to a message: told the process and the number of the message, returns whether Redis gets it, and whether the
#: connection outlives it.
OnMessage = Callable[[str, int], tuple[bool, bool]]


class Network:
    """Connects processes with one Redis.

    Attributes:
        messages: Number of messages that reached Redis.
        latency_s: Least and most seconds of one way.
        on_message: Decides what happens to each message.

    Args:
        timeline: The time that passes.
        server: The Redis.
    """

    def __init__(self, timeline: Timeline, server: ModelServer) -> None:
        self._timeline = timeline
        self.server = server
        self.messages = 0
        self.latency_s = LATENCY_S
        self.on_message: OnMessage = lambda _process, _number: (True, True)
        self._held_until_s: dict[str, float] = {}
        self._wires: list[RedisWire] = []

    async def connect(self, loop: ProcessLoop, protocol_factory: Callable[[], Any]) -> tuple["RedisWire", Any]:
        """Open a connection, as `create_connection` does."""
        arrived: asyncio.Future[None] = loop.create_future()
        self._timeline.at(self.arrival_s(loop.name), _arrive, arrived)
        await arrived
        if not self.server.is_up:
            raise ConnectionRefusedError("refused")
        protocol = protocol_factory()
        wire = RedisWire(self, loop, protocol)
        self._wires.append(wire)
        protocol.connection_made(wire)
        return wire, protocol

    def arrival_s(self, process: str) -> float:
        """When what leaves now, to or from this process, arrives."""
        least_s, most_s = self.latency_s
        begins_s = self._timeline.now_s
        if self._held_until_s:
            begins_s = max(begins_s, self._held_until_s.get(process, 0.0))
        return begins_s + (least_s + (most_s - least_s) * self._timeline.chance.random())

    def hold(self, processes: list[str], until_s: float) -> None:
        """Let nothing pass between these processes and Redis until then; what was sent arrives after it."""
        for process in processes:
            self._held_until_s[process] = until_s

    def cut(self, process: str | None = None) -> None:
        """Reset the connections of one process, or all."""
        for wire in list(self._wires):
            if process is None or wire.loop.name == process:
                wire.reset()

    def demote(self) -> None:
        """Make another server the master: every connection stays with the old one."""
        self.server.demote([wire.peer for wire in self._wires])

    def deliver(self, wire: "RedisWire", data: bytes) -> None:
        """Hand Redis what arrived, unless something happens to it."""
        if not wire.is_open:
            return
        self.messages += 1
        is_applied, survives = self.on_message(wire.loop.name, self.messages)
        if not wire.is_open:
            return
        if is_applied:
            wire.is_mute = not survives
            self.server.receive(wire.peer, data)
        if not survives:
            wire.reset()

    def forget(self, wire: "RedisWire") -> None:
        """Take a connection that ended off the list."""
        if wire in self._wires:
            self._wires.remove(wire)
        self.server.hang_up(wire.peer)


class RedisWire(asyncio.Transport):
    """One connection of a process to Redis."""

    def __init__(self, network: Network, loop: ProcessLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.loop = loop
        self.peer = Peer(self._send_back, loop.name)
        self.is_open = True
        self.is_mute = False
        self._network = network
        self._protocol = protocol
        self._there_s = self._back_s = 0.0

    def write(self, data: Any) -> None:
        """Send to Redis."""
        if self.is_open:
            self._there_s = max(self._network.arrival_s(self.loop.name), self._there_s + GAP_S)
            self._network._timeline.at(self._there_s, self._network.deliver, self, data)

    def _send_back(self, data: bytes) -> None:
        if self.is_open and not self.is_mute:
            self._back_s = max(self._network.arrival_s(self.loop.name), self._back_s + GAP_S)
            self._network._timeline.at(self._back_s, self._come_back, data)

    def _come_back(self, data: bytes) -> None:
        if self.is_open:
            self.loop.call_soon(self._received, data)

    def _received(self, data: bytes) -> None:
        if self.is_open:
            self._protocol.data_received(data)

    def reset(self) -> None:
        """Break it, for both ends."""
        self._end(ConnectionResetError("reset"))

    def abort(self) -> None:
        """Break it from this end."""
        self._end(None)

    close = abort

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return not self.is_open

    def _end(self, error: Exception | None) -> None:
        if self.is_open:
            self.is_open = False
            self._network.forget(self)
            self.loop.call_soon(self._protocol.connection_lost, error)


def _arrive(arrived: "asyncio.Future[None]") -> None:
    if not arrived.done():
        arrived.set_result(None)
