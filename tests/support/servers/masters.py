"""Redis servers of which one is the master, and another one can become it: behind one address, with Sentinels, as a cluster.

Each has the master's switch, planned and by `kill -9`.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from redis import Redis
from redis.exceptions import RedisError

from autobatch_console.up.programs import find_redis, search_path
from tests.support.ports import free_port
from tests.support.servers.redis_server import RedisServer
from tests.support.servers.relay import Relay
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
SERVICE = "queue"
DOWN_AFTER_MS = 1000  # a killed server counts as dead
PATIENCE_MS = 15_000  # a server of a machine that is busy with other tests does not
SLOTS = 16384
START_S = 60.0


class Node:
    """One server on a port of its own, in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir()
        self.port = free_port()
        self._options = ("--port", str(self.port), "--dir", str(folder), "--repl-diskless-sync-delay", "0", *options)
        self._server = RedisServer(folder)

    def start(self, *options: str) -> None:
        """Start, or restart with an empty memory."""
        self._server.start(*self._options, *options)

    def kill(self) -> None:
        """`kill -9`."""
        self._server.kill()

    def ask(self, *command: object) -> Any:
        """Execute one command."""
        with Redis(host=HOST, port=self.port, decode_responses=True) as redis:
            return redis.execute_command(*command)

    def is_master(self) -> bool:
        """Whether it takes itself for a master."""
        return bool(self.ask("ROLE")[0] == "master")

    def follows(self, master: "Node") -> bool:
        """Whether it is a replica that has all that the master has, as both see it."""
        seen = master.ask("INFO", "replication")
        replicas = [seen[f"slave{place}"] for place in range(int(seen["connected_slaves"]))]
        is_online = any((each["port"], each["state"]) == (self.port, "online") for each in replicas)
        return is_online and self.ask("ROLE")[:4] == ["slave", HOST, master.port, "connected"]


class ServerGroup(Protocol):
    """Servers of which one is the master.

    Attributes:
        url: For REDIS_URL.
        master: The server that is the master now.
    """

    master: Node

    @property
    def url(self) -> str: ...

    async def start(self) -> None:
        """Start all."""
        ...

    async def switch(self) -> None:
        """Make another server the master; the one that was it stays alive."""
        ...

    async def kill_master(self) -> None:
        """`kill -9`, and return once another one is the master."""
        ...

    async def revive(self) -> None:
        """Start the one that was killed again, as a replica, and return once it has all data."""
        ...

    async def close(self) -> None:
        """End all."""
        ...


async def revived(node: Node, master: Node, *options: str) -> None:
    """Start a server that was killed; return once it is the master's replica."""
    node.start(*options)
    await wait_until(lambda: node.follows(master), START_S)


class BehindOneAddress:
    """A master and a replica behind a relay, which leads new connections to the master and leaves the old ones where they are."""

    def __init__(self, folder: Path) -> None:
        self.master, self._replica = Node(folder / "a"), Node(folder / "b")
        self._port = free_port()
        self._relay = Relay((HOST, self._port), (HOST, self.master.port))

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self._port}/0"

    async def start(self) -> None:
        self.master.start()
        self._replica.start("--replicaof", f"{HOST} {self.master.port}")
        await self._relay.start()
        await wait_until(lambda: self._replica.follows(self.master), START_S)

    async def switch(self) -> None:
        await hand_over(self.master, self._replica)
        self._lead()

    async def kill_master(self) -> None:
        self.master.kill()
        self._replica.ask("REPLICAOF", "NO", "ONE")
        self._lead()

    async def revive(self) -> None:
        await revived(self._replica, self.master, "--replicaof", f"{HOST} {self.master.port}")

    def _lead(self) -> None:
        self.master, self._replica = self._replica, self.master
        self._relay.lead_to((HOST, self.master.port))

    async def close(self) -> None:
        await self._relay.stop()
        self.master.kill()
        self._replica.kill()


async def hand_over(master: Node, replica: Node) -> None:
    """Let master and replica change places, as for maintenance; nothing is lost."""
    master.ask("FAILOVER", "TO", HOST, replica.port)
    await wait_until(lambda: replica.is_master() and master.follows(replica), START_S)


class WithSentinels:
    """A master, a replica and three Sentinels."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.master, self._replica = Node(folder / "a"), Node(folder / "b")
        self._ports = [free_port() for _ in range(3)]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'{HOST}:{port}' for port in self._ports)}/{SERVICE}/0"

    async def start(self) -> None:
        self.master.start()
        self._replica.start("--replicaof", f"{HOST} {self.master.port}")
        await wait_until(lambda: self._replica.follows(self.master), START_S)
        self._sentinels = [start_sentinel(self._folder, port, self.master.port) for port in self._ports]
        await wait_until(self._know_each_other, START_S)

    def _know_each_other(self) -> bool:
        return all(
            (known := self._ask(port)) is not None and (known["num-other-sentinels"], known["num-slaves"]) == (2, 1)
            for port in self._ports
        )

    def _ask(self, port: int) -> dict[str, Any] | None:
        """Return what a Sentinel knows about the master."""
        try:
            with Redis(host=HOST, port=port, decode_responses=True) as redis:
                known: dict[str, Any] = redis.sentinel_master(SERVICE)
                return known
        except RedisError:
            return None

    async def switch(self) -> None:
        with Redis(host=HOST, port=self._ports[0]) as redis:
            redis.execute_command("SENTINEL FAILOVER", SERVICE)
        await self._change_places()

    async def kill_master(self) -> None:
        for port in self._ports:
            with Redis(host=HOST, port=port) as redis:
                redis.execute_command("SENTINEL SET", SERVICE, "down-after-milliseconds", DOWN_AFTER_MS)
        self.master.kill()
        await self._change_places()

    async def revive(self) -> None:
        await revived(self._replica, self.master, "--replicaof", f"{HOST} {self.master.port}")

    async def _change_places(self) -> None:
        await wait_until(self._replica.is_master, START_S)
        self.master, self._replica = self._replica, self.master

    async def close(self) -> None:
        for process in self._sentinels:
            process.kill()
            process.wait()
        self.master.kill()
        self._replica.kill()


def start_sentinel(folder: Path, port: int, master_port: int) -> subprocess.Popen[bytes]:
    """Start a Sentinel that watches a master."""
    config = folder / f"sentinel-{port}.conf"
    config.write_text(
        f"port {port}\ndir {folder}\n"
        f"sentinel monitor {SERVICE} {HOST} {master_port} 2\n"
        f"sentinel down-after-milliseconds {SERVICE} {PATIENCE_MS}\n"
        f"sentinel failover-timeout {SERVICE} {3 * DOWN_AFTER_MS}\n"
    )
    argv = [*find_redis(search_path()).argv, str(config), "--sentinel"]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=folder)


class AsCluster:
    """Three nodes with a third of the slots each, and a replica of the one that has the namespace's."""

    def __init__(self, folder: Path, namespace: str) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(PATIENCE_MS))
        self._nodes = [
            Node(folder / name, *options, "--cluster-port", str(free_port()), "--cluster-replica-validity-factor", "0")
            for name in "abcd"
        ]
        self.master, self._replica = self._nodes[0], self._nodes[3]
        self._namespace = namespace
        self._slot = 0

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'{HOST}:{node.port}' for node in self._nodes)}"

    @property
    def urls(self) -> list[str]:
        """Each node as if it were a server of its own."""
        return [f"redis://{HOST}:{node.port}/0" for node in self._nodes]

    async def start(self) -> None:
        for node in self._nodes:
            node.start()
        self._slot = self.master.ask("CLUSTER KEYSLOT", f"{{{self._namespace}}}:epoch")
        owners = self._nodes[:3]
        for place, node in enumerate(owners):
            node.ask("CLUSTER SET-CONFIG-EPOCH", place + 1)
            node.ask("CLUSTER ADDSLOTSRANGE", place * SLOTS // 3, (place + 1) * SLOTS // 3 - 1)
        self._introduce()
        await wait_until(lambda: all(is_whole(node, len(self._nodes)) for node in self._nodes), START_S)
        self.master = owners[min(2, self._slot * 3 // SLOTS)]
        self._replica.ask("CLUSTER REPLICATE", identity(self.master))
        await wait_until(lambda: self._replica.follows(self.master), START_S)

    def _introduce(self) -> None:
        for node in self._nodes[1:]:
            bus_port = int(node.ask("CONFIG", "GET", "cluster-port")["cluster-port"])
            self._nodes[0].ask("CLUSTER MEET", HOST, node.port, bus_port)

    async def switch(self) -> None:
        """Move the namespace's slot to another node, key by key."""
        self.begin_move()
        self.end_move()

    @property
    def _target(self) -> Node:
        return next(node for node in self._nodes if node not in (self.master, self._replica))

    def begin_move(self) -> None:
        """Let both nodes know that the slot is about to move: from now on its keys may be at either."""
        self._target.ask("CLUSTER SETSLOT", self._slot, "IMPORTING", identity(self.master))
        self.master.ask("CLUSTER SETSLOT", self._slot, "MIGRATING", identity(self._target))

    def end_move(self) -> None:
        """Move the keys, and let both nodes know that the slot has moved."""
        source, target = self.master, self._target
        while keys := source.ask("CLUSTER GETKEYSINSLOT", self._slot, 100):
            source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source):
            node.ask("CLUSTER SETSLOT", self._slot, "NODE", identity(target))
        self.master = target

    async def kill_master(self) -> None:
        """Kill the node that has the slot; its replica takes over."""
        for node in self._nodes:
            node.ask("CONFIG", "SET", "cluster-node-timeout", DOWN_AFTER_MS)
        self.master.kill()
        await wait_until(self._replica.is_master, START_S)
        self.master, self._replica = self._replica, self.master

    async def revive(self) -> None:
        await revived(self._replica, self.master)

    async def close(self) -> None:
        for node in self._nodes:
            node.kill()


def identity(node: Node) -> str:
    """Return a cluster node's id."""
    return str(node.ask("CLUSTER MYID"))


def is_whole(node: Node, nodes: int) -> bool:
    """Whether a cluster node knows all others and serves."""
    info: dict[str, str] = node.ask("CLUSTER INFO")
    return (info["cluster_state"], info["cluster_known_nodes"]) == ("ok", str(nodes))


GROUPS: Sequence[str] = ("one address", "Sentinels", "cluster")


def make_group(kind: str, folder: Path, namespace: str) -> ServerGroup:
    """Return the servers of one kind, not started yet."""
    if kind == "cluster":
        return AsCluster(folder, namespace)
    return WithSentinels(folder) if kind == "Sentinels" else BehindOneAddress(folder)
