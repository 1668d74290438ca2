"""Everything as processes, as `autobatch up` runs it, with a relay on every connection between two of them.

    load -> nginx -> relay -> worker 1, 2 -> relay -> Redis <- relay <- batcher 1, 2 -> relay -> upstream(s)

Each worker is a gunicorn of its own with one worker process. The first worker and the first batcher have
a clock that can be set ahead.

Both batchers know an upstream by one address, so that one is on duty and the other stands by. In a world of `own_links` each has
a relay of its own to it, which can fail alone: then each knows another upstream, and both call.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import aiohttp
from redis.asyncio import Redis

from autobatch_console.up import nginx_files, programs
from tests.faults.programs import ForeignProgram
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.masters import ServerGroup, make_group
from tests.support.servers.redis_server import RedisServer
from tests.support.servers.relay import Relay
from tests.support.servers.stepped_clock import COMPILER, SteppedClock
from tests.support.waiting import wait_until

DEADLINE_S = 5.0  # REQUEST_TIMEOUT_MS of the workers, usually: a scenario should not take half a minute
START_S = 120.0  # of ten processes, beside ten others on one core
PAIR = (0, 1)
NONE: Mapping[str, object] = MappingProxyType({})
GRACEFUL = "keepalive_min_timeout 3s;\n"  # as in nginx/compose; the first nginx that supports it is used
_serials = itertools.count()
INSIDE = Path(__file__).parent / "inside"  # on the path of our processes


@dataclass
class World:
    """The processes, and the relays between them."""

    folder: Path
    http: aiohttp.ClientSession
    redis: RedisServer
    redis_port: int
    nginx_port: int
    nginx: ForeignProgram
    upstreams: list[ForeignProgram]
    upstream_ports: list[int]
    redis_clock: SteppedClock | None  # None without a C compiler
    group: ServerGroup | None = None  # instead of the one Redis, and without relays of the world's
    edge: list[Relay] = field(default_factory=list)  # nginx -> worker
    worker_redis: list[Relay] = field(default_factory=list)
    batcher_redis: list[Relay] = field(default_factory=list)
    batcher_upstream: list[list[Relay]] = field(default_factory=list)  # of each batcher, to each upstream
    workers: list[Process] = field(default_factory=list)
    batchers: list[Process] = field(default_factory=list)
    redis_options: tuple[str, ...] = ()
    own_links: bool = False
    deadline_s: float = DEADLINE_S
    worker_settings: Mapping[str, object] = field(default_factory=dict)
    batcher_settings: Mapping[str, object] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)

    @property
    def redis_url(self) -> str:
        """The URL for a test's own commands."""
        port = self.redis_port if self.group is None else self.group.master.port
        return f"redis://127.0.0.1:{port}/0"

    async def start(self) -> None:
        """Start everything, and return once a request is answered."""
        await self.start_redis()
        for upstream in self.upstreams:
            upstream.start()
        for index in PAIR:
            self.edge.append(await self._relay(self.folder / f"edge-{index}.sock", self._socket(index)))
            self.worker_redis.append(await self._relay_tcp(self.redis_port))
            self.batcher_redis.append(await self._relay_tcp(self.redis_port))
            if self.own_links or not self.batcher_upstream:
                self.batcher_upstream.append([await self._relay_tcp(port) for port in self.upstream_ports])
            else:
                self.batcher_upstream.append(self.batcher_upstream[0])
        self.workers = [self.start_worker(index) for index in PAIR]
        self.batchers = [self.start_batcher(index) for index in PAIR]
        await wait_until(lambda: all(self._socket(index).exists() for index in PAIR), START_S)
        self.nginx.start()
        await wait_until(self.has_batchers, START_S)
        await wait_until(self.is_well, START_S)

    async def start_redis(self) -> None:
        """Start Redis with `redis_options`, or the group."""
        if self.group is not None:
            await self.group.start()
            return
        options = ("--port", str(self.redis_port), "--dir", str(self.folder), *self.redis_options)
        await asyncio.to_thread(self.redis.start, *options)

    def start_worker(self, index: int) -> Process:
        """Start a gunicorn with one worker process."""
        return self._process(
            "proxy",
            index,
            uds_path=self._socket(index),
            web_concurrency=1,
            redis_url=self._redis_url(self.worker_redis[index]),
            request_timeout_ms=int(self.deadline_s * 1000),
            **self.worker_settings,
        )

    def start_batcher(self, index: int) -> Process:
        """Start a batcher."""
        urls = [f"http://127.0.0.1:{self.port_of(relay)}" for relay in self.batcher_upstream[index]]
        return self._process(
            "batcher",
            index,
            redis_url=self._redis_url(self.batcher_redis[index]),
            inference_url=",".join(urls),
            batcher_host="127.0.0.1",
            batcher_port=0,
            **self.batcher_settings,
        )

    def relays_to(self, place: int) -> list[Relay]:
        """The relays to an upstream."""
        return list(dict.fromkeys(relays[place] for relays in self.batcher_upstream))

    def is_on_duty(self, index: int) -> bool:
        """Whether a batcher calls the first upstream, as it says itself: it does until it has found another that does."""
        (relay, *_) = self.batcher_upstream[index]
        said = [json.loads(line) for line in self.batchers[index].output.splitlines() if '"upstream_duty"' in line]
        ours = [each["is_on"] for each in said if each["upstream"].endswith(f":{self.port_of(relay)}")]
        return not ours or bool(ours[-1])

    def step_clock(self, *, is_ahead: bool) -> None:
        """Set the clock of the first worker and the first batcher an hour ahead, or back."""
        step = self.folder / "clock-step"
        step.touch() if is_ahead else step.unlink()

    async def behave(self, behaviour: str, *places: int) -> None:
        """Set the behaviour of all upstreams, or of those at `places`."""
        for place in places or range(len(self.upstreams)):
            url = f"http://127.0.0.1:{self.upstream_ports[place]}/behave"
            async with self.http.post(url, data=behaviour) as answer:
                assert answer.status == 200

    async def heal(self) -> None:
        """End what a failed scenario may have left behind."""
        for relay in self._relays:
            relay.slow_down(0)
            relay.cut()
        for upstream in self.upstreams:
            if not upstream.is_running:
                upstream.start()
        await wait_until(self.are_up, START_S)
        await self.behave("good")

    async def are_up(self) -> bool:
        """Whether all upstreams answer."""
        return all([await self.answers(place) for place in range(len(self.upstreams))])

    async def computed_again(self) -> dict[str, int]:
        """Return what the upstreams computed more than once, and how often; this resets it."""
        again: dict[str, int] = {}
        for port in self.upstream_ports:
            async with self.http.post(f"http://127.0.0.1:{port}/counts") as answer:
                again |= await answer.json()
        return again

    async def answers(self, index: int) -> bool:
        """Whether an upstream does."""
        try:
            async with self.http.get(f"http://127.0.0.1:{self.upstream_ports[index]}/info") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def has_batchers(self) -> bool:
        async with Redis.from_url(self.redis_url) as redis:
            return await redis.zcard("{autobatch}:leases") >= len(PAIR)

    async def is_well(self) -> bool:
        """Whether both workers and nginx answer right now."""
        connectors = [aiohttp.UnixConnector(str(self._socket(index))) for index in PAIR]
        try:
            for connector in connectors:
                async with aiohttp.ClientSession(connector=connector) as session:
                    if not await self._embeds(session, "http://worker"):
                        return False
            return await self._embeds(self.http, f"http://127.0.0.1:{self.nginx_port}")
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _embeds(self, session: aiohttp.ClientSession, url: str) -> bool:
        key = str(self.worker_settings.get("api_keys", "")).partition(",")[0]
        headers = {"Authorization": f"Bearer {key}"}  # which counts where there are keys
        text = {"inputs": f"is all well? {next(_serials)}"}
        async with session.post(f"{url}/embed", json=text, headers=headers) as answer:
            return answer.status == 200

    async def close(self) -> None:
        """End everything."""
        for program in (self.nginx, *self.upstreams):
            program.kill()
        for process in (*self.workers, *self.batchers):
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in (*self.workers, *self.batchers):
            await asyncio.to_thread(process.close)
        self.redis.kill()
        if self.group is not None:
            await self.group.close()
        for relay in self._relays:
            await relay.stop()

    @property
    def _relays(self) -> list[Relay]:
        upstreams = (relay for place in range(len(self.upstreams)) for relay in self.relays_to(place))
        return [*self.edge, *self.worker_redis, *self.batcher_redis, *upstreams]

    def port_of(self, relay: Relay) -> int:
        """Return the address of a relay."""
        return self._ports[str(id(relay))]

    def _socket(self, index: int) -> Path:
        return self.folder / f"proxy-{index}.sock"

    def _redis_url(self, relay: Relay) -> str:
        return f"redis://127.0.0.1:{self.port_of(relay)}/0" if self.group is None else self.group.url

    def _process(self, module: str, index: int, **settings: object) -> Process:
        if index == 0:
            settings |= {"clock_step": self.folder / "clock-step"}
        return Process(self.folder, module, pythonpath=f"{INSIDE}{os.pathsep}{ROOT}", **settings)

    async def _relay(self, listen: Path | tuple[str, int], target: Path | tuple[str, int]) -> Relay:
        relay = Relay(listen, target)
        await relay.start()
        return relay

    async def _relay_tcp(self, port: int) -> Relay:
        listen = free_port()
        relay = await self._relay(("127.0.0.1", listen), ("127.0.0.1", port))
        self._ports[str(id(relay))] = listen
        return relay


@asynccontextmanager
async def open_world(
    replicas: int = 1,
    servers: str = "",
    *,
    own_links: bool = False,
    deadline_s: float = DEADLINE_S,
    worker_settings: Mapping[str, object] = NONE,
    batcher_settings: Mapping[str, object] = NONE,
) -> AsyncIterator[World]:
    """A running world with this number of upstreams, one Redis, or this kind of group, and further settings of ours."""
    with TemporaryDirectory(prefix="ab-") as name:
        folder = Path(name)
        prefix = folder / "nginx"
        port, ports = free_port(), [free_port() for _ in range(replicas)]
        sockets = [folder / f"edge-{index}.sock" for index in PAIR]
        listen = nginx_files.listen_conf(
            "127.0.0.1",
            port,
            payload_limit=2_000_000,
            request_timeout_ms=int(deadline_s * 1000),
            access_log="access.log",
        )
        nginx_files.write(prefix, nginx_files.upstream_conf(sockets), listen + GRACEFUL)
        found, faults = programs.find_nginx(programs.search_path(), lambda argv: nginx_files.fault_of(argv, prefix))
        assert found, faults
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=START_S)) as http:
            clock = SteppedClock(folder) if COMPILER else None
            world = World(
                folder,
                http,
                RedisServer(folder, clock.variables if clock else None),
                free_port(),
                port,
                ForeignProgram(nginx_files.argv(found.argv, prefix), folder),
                [ForeignProgram((sys.executable, "-m", "tests.faults.upstream", str(each)), folder) for each in ports],
                ports,
                clock,
                make_group(servers, folder, "autobatch") if servers else None,
                own_links=own_links,
                deadline_s=deadline_s,
                worker_settings=worker_settings,
                batcher_settings=batcher_settings,
            )
            try:
                await world.start()
                yield world
            finally:
                await world.close()
