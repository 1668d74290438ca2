"""The model and a real Redis are given the same histories, and must give the same replies and keep the same keys.

The real clock cannot be set, so times in replies and in keys are not compared, only that they are times.
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import hiredis
import pytest

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.frames import JobHeader, ReplyHeader, encode
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.commands import Command, ReplyError
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.conftest import used_cleanly
from tests.simulation.redis_model.server import UNIX_MS, ModelServer, Peer
from tests.simulation.timeline import Timeline
from tests.support.servers.redis_server import RedisServer

KEYS = Keys("same")
STEPS = 120
FIRST_TIME_MS = 1_600_000_000_000
TTL_TOLERANCE_MS = 5_000
BATCHERS, WORKERS = ("b1", "b2", "b3"), ("w1", "w2")
LEASE_MS = 3_600_000  # ends when the test says so
TIME = b"a time"
EPOCH = re.compile(rb"w[0-9]+\.[0-9]{10}\.[0-9]+")  # which a push makes of the time


class ComparedCommands:
    """Executes each command on both, and compares the replies."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._timeline = Timeline(0)
        self.model = ModelServer(self._timeline)
        self._sent: list[bytes] = []
        self._peer = Peer(self._sent.append, "model")

    async def execute(self, *args: str | bytes | int) -> Any:
        """Execute one command."""
        self._timeline.now_s = (time.time() * 1000 - UNIX_MS) / 1000
        modelled: Any = next(iter(self._on_model([args])), None)
        if self._peer.blocked is not None:  # until its time has passed, and then there is nothing
            self.model.hang_up(self._peer)
            self._peer = Peer(self._sent.append, "model")
        real: Any = (await asyncio.gather(self._link.execute(*args), return_exceptions=True))[0]
        if isinstance(real, ReplyError):
            assert str(real).split(" ", 1)[0] == str(modelled).split(" ", 1)[0]
            raise real
        if args[0] == "HGETALL":  # a real hash has no order
            real_pairs, modelled_pairs = (sorted(zip(flat[::2], flat[1::2], strict=True)) for flat in (real, modelled))
            assert real_pairs == modelled_pairs
        else:
            assert timeless(real) == timeless(modelled), args
        return real

    async def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Execute several as one."""
        self._timeline.now_s = (time.time() * 1000 - UNIX_MS) / 1000
        modelled = self._on_model([("MULTI",), *commands, ("EXEC",)])[-1]
        real = await self._link.transaction(commands)
        assert timeless(real) == timeless(modelled), commands
        return real

    def _on_model(self, commands: Sequence[Command]) -> list[Any]:
        reader = hiredis.Reader()
        for command in commands:
            self.model.receive(self._peer, hiredis.pack_command(command))  # type: ignore[arg-type]
        for data in self._sent:
            reader.feed(data)
        self._sent.clear()
        replies = []
        while (reply := reader.gets()) is not False:
            replies.append(reply)
        return replies


def timeless(reply: Any) -> Any:
    """Return a reply with its times made alike, and the order taken out of what has none."""
    if isinstance(reply, list):
        return [timeless(each) for each in reply]
    if isinstance(reply, Exception):
        return type(reply).__name__, str(reply).split(" ", 1)[0]
    if isinstance(reply, bytes) and (reply.isdigit() or EPOCH.fullmatch(reply)):
        return reply if reply.isdigit() and int(reply) < FIRST_TIME_MS else TIME
    if isinstance(reply, int) and reply > FIRST_TIME_MS:
        return TIME
    return reply


@pytest.fixture
async def compared(shared_redis: RedisServer) -> AsyncIterator[ComparedCommands]:
    async with used_cleanly(shared_redis) as url:
        link = RedisLink(Master.from_url(url, KEYS), "same")
        link.start()
        assert await link.wait_connected(60)
        await link.execute("SCRIPT", "FLUSH")
        await link.execute("DEL", KEYS.epoch)  # which its connection has set, and the model has none
        yield ComparedCommands(link)
        await link.execute("FLUSHALL")  # the queues have no time to live
        await link.close()


class History:
    """A random history of one namespace.

    Args:
        commands: Both servers.
        seed: Draws it.
    """

    def __init__(self, commands: ComparedCommands, seed: int) -> None:
        self._commands = commands
        self._chance = random.Random(seed)
        self._workers = {name: WorkerQueue(commands, commands, KEYS, name) for name in WORKERS}
        self._batchers = {
            name: BatcherQueue(commands, commands, KEYS, name, lease_ms=LEASE_MS, reply_ttl_ms=60_000)
            for name in BATCHERS
        }
        self._jobs = [f"{worker}.{number}" for worker in WORKERS for number in range(1, 40)]
        self._made = 0

    async def step(self) -> None:
        """Do one random thing."""
        steps = (self._push, self._push, self._claim, self._claim, self._reply, self._renew, self._reap, self._die)
        others = (
            self._missing,
            self._forget,
            self._read,
            self._try,
            self._bury,
            self._epoch,
            self._inbox,
            self._watch,
            self._claimed,
        )
        await self._chance.choice(steps + others)()

    def _frame(self) -> bytes:
        self._made += 1
        chance = self._chance
        job = f"{chance.choice(WORKERS)}.{self._made % 40}"
        header = JobHeader(
            job, chance.choice((1, 1, 2, 5)), 1_790_000_000_000 + self._made, 1_790_000_030_000, "/embed"
        )
        return encode(header, b'["' + b"x" * chance.choice((1, 10, 20_000)) + b'"]')

    def _some(self) -> list[str]:
        return self._chance.sample(self._jobs, self._chance.randint(1, 6))

    async def _push(self) -> None:
        chance = self._chance
        requests = [
            (chance.random() < 0.3, [self._frame() for _ in range(chance.randint(1, 3))])
            for _ in range(chance.randint(0, 3))
        ]
        await self._workers[chance.choice(WORKERS)].push(requests, chance.choice((5, 40, 1000)))

    async def _claim(self) -> None:
        chance = self._chance
        batcher = self._batchers[chance.choice(BATCHERS)]
        inputs, suspects, bulk, fill = (chance.choice((0, 1, 3, 8)) for _ in range(4))
        await batcher.claim(inputs, suspects, bulk, fill, chance.choice((1, 2, 100)))

    async def _reply(self) -> None:
        good = [(job, encode(ReplyHeader(job, 200), b"[]")) for job in self._some()]
        failures = [(job, encode(ReplyHeader(job, 0, "internal"), b"no")) for job in self._some()]
        batcher = self._batchers[self._chance.choice(BATCHERS)]
        await batcher.reply(good, failures if self._chance.random() < 0.5 else (), self._some())

    async def _claimed(self) -> None:
        await self._batchers[self._chance.choice(BATCHERS)].claimed()

    async def _renew(self) -> None:
        await self._batchers[self._chance.choice(BATCHERS)].renew()

    async def _reap(self) -> None:
        await self._batchers[self._chance.choice(BATCHERS)].reap()

    async def _die(self) -> None:
        batcher = self._chance.choice(BATCHERS)
        if self._chance.random() < 0.5:
            await self._batchers[batcher].sign_off()
        else:
            await self._commands.execute("ZADD", KEYS.leases, "XX", 1, batcher)

    async def _forget(self) -> None:
        await self._workers[self._chance.choice(WORKERS)].forget(self._some(), 60_000)

    async def _read(self) -> None:
        worker = self._workers[self._chance.choice(WORKERS)]
        jobs = self._some()
        await worker.read_replies(jobs)
        worker.note_received(jobs)
        await worker.delete_received()

    async def _missing(self) -> None:
        await self._workers[self._chance.choice(WORKERS)].missing(self._some())

    async def _try(self) -> None:
        batcher = self._batchers[self._chance.choice(BATCHERS)]
        token = self._chance.choice(("one", "two"))
        if not await batcher.begin_trial(token, 60_000):
            await batcher.end_trial("one" if token == "two" else "two", self._chance.choice((0, 60_000)))

    async def _bury(self) -> None:
        await self._batchers[self._chance.choice(BATCHERS)].bury(self._frame())

    async def _epoch(self) -> None:
        await self._commands.execute("EXISTS", KEYS.epoch)

    async def _inbox(self) -> None:
        worker = self._chance.choice(WORKERS)
        if await self._commands.execute("LLEN", KEYS.inbox(worker)):
            await self._workers[worker].pop_inbox(0.01)

    async def _watch(self) -> None:
        if await self._commands.execute("LLEN", KEYS.jobs):
            await self._batchers[self._chance.choice(BATCHERS)].watch(0.01)


async def differences(link: RedisLink, model: ModelServer) -> list[str]:
    """Return the keys whose value, type or time to live is not the same."""

    async def modelled_commands(name: str, *args: Any) -> Any:
        return model.store.execute(
            name.encode(), [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        )

    real = {key: await _value(link.execute, key) for key in await link.execute("KEYS", "*")}
    found = [f"only one has {key!r}" for key in set(real) ^ set(model.store.names())]
    for key in set(real) & set(model.store.names()):
        modelled = await _value(modelled_commands, key)
        if timeless(real[key]) != timeless(modelled):
            found.append(f"{key!r} is {real[key]!r}, modelled {modelled!r}")
        ttl_ms = [await link.execute("PTTL", key), model.store.execute(b"PTTL", [key])]
        if (min(ttl_ms) < 0 and ttl_ms[0] != ttl_ms[1]) or abs(ttl_ms[0] - ttl_ms[1]) > TTL_TOLERANCE_MS:
            found.append(f"{key!r} lives {ttl_ms} ms")
    return found


async def _value(execute: Callable[..., Awaitable[Any]], key: bytes) -> Any:
    match await execute("TYPE", key):
        case b"string":
            return await execute("GET", key)
        case b"list":
            return await execute("LRANGE", key, 0, -1)
        case b"hash":
            flat = await execute("HGETALL", key)
            return dict(zip(flat[::2], flat[1::2], strict=True))
        case kind:
            assert kind == b"zset"
            flat = await execute("ZRANGE", key, 0, -1, "WITHSCORES")
            scores = [TIME if float(score) > 1 else float(score) for score in flat[1::2]]
            return dict(zip(flat[::2], scores, strict=True))


@pytest.mark.parametrize("seed", range(12))
async def test_the_same_history_gives_the_same_replies_and_keys(compared: ComparedCommands, seed: int) -> None:
    history = History(compared, seed)
    for _ in range(STEPS):
        try:
            await history.step()
        except QueueUnavailable as error:
            pytest.fail(f"a step was refused: {error}")
    assert await differences(compared._link, compared.model) == []
