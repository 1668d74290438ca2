"""One Redis: its clock, its connections, what blocks on them, and how it fails. Names of commands are in capitals."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import hiredis

from tests.simulation.redis_model.scripts import NAMES, Scripts
from tests.simulation.redis_model.store import OK, Refused, Status, Store
from tests.simulation.timeline import Timeline

UNIX_MS = 1_790_000_000_000  # what its clock shows at the beginning
READONLY = "READONLY You can't write against a read only replica."
UNBLOCKED = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
LOADING = "LOADING Redis is loading the dataset in memory"
QUEUED = Status(b"QUEUED")
_BLOCKING = (b"BLMOVE", b"BLMPOP")
_ALWAYS = {b"AUTH", b"CLIENT", b"SELECT"}
_READS = _ALWAYS | {b"GET", b"MGET", b"EXISTS", b"HGETALL", b"TIME", b"LLEN", b"PING", b"ROLE"}

Send = Callable[[bytes], None]


class Peer:
    """The server's side of one connection.

    Args:
        send: Takes the bytes of replies.
        name: Whose connection it is, for the trace.
    """

    def __init__(self, send: Send, name: str) -> None:
        self.send = send
        self.name = name
        self.reader = hiredis.Reader()
        self.queued: list[list[bytes]] | None = None
        self.is_discarded = False  # the open transaction had a command that was refused
        self.waiting: deque[list[bytes]] = deque()
        self.blocked: list[bytes] | None = None  # the command that waits for a list
        self.is_open = True
        self.is_of_replica = False  # its server was the master when it connected


class ModelServer:
    """A Redis server.

    Attributes:
        store: Its data.
        is_up: Whether it accepts connections.
        is_loading: Whether it still reads its data, and refuses everything.
        offset_ms: What its clock is ahead of where it began, beside the time that passed.

    Args:
        timeline: The time that passes.
        knows_scripts: Whether it was used by this system before, and has kept its scripts.
    """

    def __init__(self, timeline: Timeline, *, knows_scripts: bool = False) -> None:
        self._timeline = timeline
        self.store = Store(self.now_ms)
        self.is_up = True
        self.is_loading = False
        self.offset_ms = 0.0
        self._scripts = Scripts(self.store)
        if knows_scripts:
            self._scripts.learn_all()
        self._blocked: list[Peer] = []

    def now_ms(self) -> float:
        """Its clock, unix milliseconds."""
        return UNIX_MS + self.offset_ms + self._timeline.now_s * 1000

    def restart(self) -> None:
        """Forget what is not data."""
        self._scripts.forget()
        self._blocked.clear()

    def forget_scripts(self) -> None:
        """Know no script any more, as after SCRIPT FLUSH."""
        self._scripts.forget()

    def demote(self, peers: Iterable[Peer]) -> None:
        """Make another server the master, with the same data: the connections that there are still lead to the old one."""
        for peer in peers:
            peer.is_of_replica = True
            if peer.blocked is not None:
                self._unblock(peer, Refused(UNBLOCKED))

    def receive(self, peer: Peer, data: bytes) -> None:
        """Take bytes of a connection: execute the commands in them, and reply."""
        peer.reader.feed(data)
        while (command := peer.reader.gets()) is not False:
            peer.waiting.append(command)
        self._go_on(peer)

    def hang_up(self, peer: Peer) -> None:
        """End a connection; what waits on it is forgotten."""
        peer.is_open = False
        peer.blocked = None
        peer.waiting.clear()
        if peer in self._blocked:
            self._blocked.remove(peer)

    def _go_on(self, peer: Peer) -> None:
        out = []
        while peer.waiting and peer.blocked is None and peer.is_open:
            reply = self._reply(peer, peer.waiting.popleft())
            if peer.blocked is None:
                out.append(encoded(reply))
        if out:
            peer.send(out[0] if len(out) == 1 else b"".join(out))
        if self.store.was_pushed():
            self._serve_blocked()

    def _reply(self, peer: Peer, command: list[bytes]) -> Any:
        name = command[0]
        if name == b"MULTI":
            peer.queued, peer.is_discarded = [], False
            return OK
        if peer.queued is not None:
            return self._exec(peer) if name == b"EXEC" else self._queue(peer, command)
        if name in _BLOCKING and not (self.is_loading or peer.is_of_replica):
            return self._block(peer, command)
        return self._executed(command, peer)

    def _queue(self, peer: Peer, command: list[bytes]) -> Any:
        try:
            self._check(peer, command[0])
        except Refused as error:
            peer.is_discarded = True
            return error
        assert peer.queued is not None
        peer.queued.append(command)
        return QUEUED

    def _exec(self, peer: Peer) -> Any:
        queued, peer.queued = peer.queued or [], None
        if peer.is_discarded:
            return Refused("EXECABORT Transaction discarded because of previous errors.")
        return [self._executed(each, peer) for each in queued]

    def _executed(self, command: list[bytes], peer: Peer) -> Any:
        name, args = command[0], command[1:]
        first, last = (args[0], args[-1]) if args else (b"", b"")
        self._timeline.note("redis  {}: {} {} {}", peer.name, name, NAMES.get(first, first), last)
        try:
            if self.is_loading or peer.is_of_replica:
                self._check(peer, name)
            if name == b"EVALSHA":
                return self._scripts.run_by_hash(args)
            if name == b"EVAL":
                return self._scripts.run_source(args)
            return self.store.execute(name, args)
        except Refused as error:
            return error

    def _check(self, peer: Peer, name: bytes) -> None:
        if self.is_loading and name not in _ALWAYS:
            raise Refused(LOADING)
        if peer.is_of_replica and name not in _READS:
            raise Refused(READONLY)

    def _block(self, peer: Peer, command: list[bytes]) -> Any:
        """Return what is there, or wait for it."""
        reply = self._popped(command)
        if reply is None:
            peer.blocked = command
            self._blocked.append(peer)
            seconds = float(command[5] if command[0] == b"BLMOVE" else command[1])
            self._timeline.after(seconds, self._time_out, peer, command)
        return reply

    def _popped(self, command: list[bytes]) -> Any:
        if command[0] == b"BLMOVE":
            return self.store.execute(b"LMOVE", command[1:5])
        return self.store.execute(b"LMPOP", command[2:])

    def _time_out(self, peer: Peer, command: list[bytes]) -> None:
        if peer.blocked is command:
            self._unblock(peer, None)

    def _unblock(self, peer: Peer, reply: Any) -> None:
        peer.blocked = None
        self._blocked.remove(peer)
        peer.send(encoded(reply))
        if peer.waiting:
            self._go_on(peer)

    def _serve_blocked(self) -> None:
        """Give what was pushed to those that wait, the longest waiting first."""
        for peer in list(self._blocked):
            if peer.blocked is not None and (reply := self._popped(peer.blocked)) is not None:
                self._unblock(peer, reply)
        self.store.was_pushed()  # by those that put it back


def encoded(reply: Any) -> bytes:
    """Return a reply as RESP2."""
    kind = type(reply)
    if kind is bytes:
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if kind is int:
        return b":%d\r\n" % reply
    if reply is None:
        return b"$-1\r\n"
    if kind is list:
        return b"*%d\r\n%b" % (len(reply), b"".join([encoded(each) for each in reply]))
    if kind is Status:
        return b"+%b\r\n" % reply
    return b"-%b\r\n" % str(reply).encode().replace(b"\n", b" ")
