"""One Redis: its clock, its connections, what blocks on them, and how it fails. Names of commands are in capitals, replies RESP2."""

from collections import deque
from collections.abc import Callable, Iterable

import hiredis

from tests.simulation.redis_model.scripts import NAMES, Scripts
from tests.simulation.redis_model.store import Store
from tests.simulation.timeline import Timeline

UNIX_MS = 1_790_000_000_000  # what its clock shows at the beginning
OK, QUEUED, NOTHING = b"+OK\r\n", b"+QUEUED\r\n", b"$-1\r\n"
READONLY = b"-READONLY You can't write against a read only replica.\r\n"
UNBLOCKED = b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
DISCARDED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
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
                self._unblock(peer, UNBLOCKED)

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
                out.append(reply)
        if out:
            peer.send(out[0] if len(out) == 1 else b"".join(out))
        if self.store.was_pushed:
            self._serve_blocked()

    def _reply(self, peer: Peer, command: list[bytes]) -> bytes:
        name = command[0]
        if name == b"MULTI":
            peer.queued, peer.is_discarded = [], False
            return OK
        if peer.queued is not None:
            return self._exec(peer) if name == b"EXEC" else self._queue(peer, command)
        if name in _BLOCKING and not (self.is_loading or peer.is_of_replica):
            return self._block(peer, command)
        return self._executed(command, peer)

    def _queue(self, peer: Peer, command: list[bytes]) -> bytes:
        if (refusal := self._refusal(peer, command[0])) is not None:
            peer.is_discarded = True
            return refusal
        assert peer.queued is not None
        peer.queued.append(command)
        return QUEUED

    def _exec(self, peer: Peer) -> bytes:
        queued, peer.queued = peer.queued or [], None
        if peer.is_discarded:
            return DISCARDED
        return b"*%d\r\n%b" % (len(queued), b"".join([self._executed(each, peer) for each in queued]))

    def _executed(self, command: list[bytes], peer: Peer) -> bytes:
        name, args = command[0], command[1:]
        first, last = (args[0], args[-1]) if args else (b"", b"")
        self._timeline.note("redis  {}: {} {} {}", peer.name, name, NAMES.get(first, first), last)
        if (refusal := self._refusal(peer, name)) is not None:
            return refusal
        if name == b"EVALSHA":
            return self._scripts.run_by_hash(args)
        if name == b"EVAL":
            return self._scripts.run_source(args)
        return self.store.reply(name, args)

    def _refusal(self, peer: Peer, name: bytes) -> bytes | None:
        """Return why it does not take such a command now."""
        if self.is_loading and name not in _ALWAYS:
            return LOADING
        return READONLY if peer.is_of_replica and name not in _READS else None

    def _block(self, peer: Peer, command: list[bytes]) -> bytes:
        """Return what is there, or wait for it."""
        reply = self._popped(command)
        if reply == NOTHING:
            peer.blocked = command
            self._blocked.append(peer)
            seconds = float(command[5] if command[0] == b"BLMOVE" else command[1])
            self._timeline.after(seconds, self._time_out, peer, command)
        return reply

    def _popped(self, command: list[bytes]) -> bytes:
        if command[0] == b"BLMOVE":
            return self.store.reply(b"LMOVE", command[1:5])
        return self.store.reply(b"LMPOP", command[2:])

    def _time_out(self, peer: Peer, command: list[bytes]) -> None:
        if peer.blocked is command:
            self._unblock(peer, NOTHING)

    def _unblock(self, peer: Peer, reply: bytes) -> None:
        peer.blocked = None
        self._blocked.remove(peer)
        peer.send(reply)
        if peer.waiting:
            self._go_on(peer)

    def _serve_blocked(self) -> None:
        """Give what was pushed to those that wait, the longest waiting first."""
        for peer in list(self._blocked):
            if peer.blocked is not None and (reply := self._popped(peer.blocked)) != NOTHING:
                self._unblock(peer, reply)
        self.store.was_pushed = False  # also by those that put it back
