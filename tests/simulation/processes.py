"""The simulated processes: the product's own classes, put together as its `app.py` files do, on a loop of their own."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.claiming.loop import WorkingLoop
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.forming.policy import policy_named
from autobatch_batcher.lookout import Lookout
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.model_keeper import ModelKeeper
from autobatch_batcher.reporter import Reporter
from autobatch_batcher.tuning.pacing import Pacing
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool
from autobatch_proxy.queue.client import QueueClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.in_flight import QueueCounts, Reply
from autobatch_proxy.queue.one_model import Clients, ask_one_model
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.measuring.count import Count
from autobatch_shared.redis.address import Address
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.fixed import FixedAddress
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.model_record import ModelRecord
from autobatch_shared.redis.worker_queue import WorkerQueue
from tests.simulation.network import Network
from tests.simulation.timeline import ProcessLoop, Timeline
from tests.simulation.upstreams import BATCH_INPUTS_MAX, ModelHttpClient, ModelUpstream

KEYS = Keys("sim")
LEASE_MS = 2000
REPLY_TTL_MS = 60_000
MODEL_CHANGE_AFTER_MS = 2000  # less than by default, so that batchers that are started during a change make it
FIRST_CONNECTION_S = 1.0
ADDRESS = Address("redis", 6379, None, 0, None, None, None)
METRICS = Metrics()  # never read; making them takes as long as a quarter of a run
INPUTS_MAX = 1000
JOB_INPUTS_MAX = 3  # fewer than a batch has, so that requests of several jobs are played
SLOTS = 2  # calls at once, of each batcher to each upstream
PATIENCE_S = 3.0  # less than by default, so that what comes after it is played, too


class SimulatedBatcher:
    """One batcher.

    Args:
        timeline: The time that passes.
        network: Leads to Redis.
        name: Its name in the trace.
        upstreams: What it calls.
        pacing: Returns what an upstream of that name may be asked in a minute; None: anything.
    """

    def __init__(
        self,
        timeline: Timeline,
        network: Network,
        name: str,
        upstreams: Sequence[ModelUpstream],
        pacing: Callable[[str], Pacing] | None = None,
    ) -> None:
        self.loop = loop = ProcessLoop(timeline, name, network.connect)
        self.has_ended = False
        master = Master(FixedAddress(ADDRESS), KEYS)
        link, watch_link = (RedisLink(master, f"{name}-{use}") for use in ("commands", "watch"))
        self._links = (link, watch_link)
        clock = RedisClock()
        self.queue = BatcherQueue(link, watch_link, KEYS, name, lease_ms=LEASE_MS, reply_ttl_ms=REPLY_TTL_MS)
        self.pool = Pool(
            [
                Replica(
                    upstream.name,
                    ModelHttpClient(upstream, loop),
                    [Tei()],
                    configured(BATCH_INPUTS_MAX, 100_000, are_calls_counted=pacing is not None),
                    Tuner(SLOTS, is_fixed=pacing is not None),
                    pacing=None if pacing is None else pacing(upstream.name),
                )
                for upstream in upstreams
            ],
            PATIENCE_S,
        )
        self.lanes = Lanes(self.pool.envelope_bytes)
        caller = Caller(
            self.pool,
            self.queue,
            clock,
            METRICS,
            timeout_max_s=30.0,
            attempts_max=3,
        )
        self.working = WorkingLoop(
            self.queue,
            link,
            self.pool,
            caller,
            self.lanes,
            policy_named("adaptive", 5),
            clock,
            METRICS,
            lease_ms=LEASE_MS,
        )
        control = Control(link, KEYS)
        keeper = ModelKeeper(self.pool.upstreams, ModelRecord(link, KEYS), control, clock, MODEL_CHANGE_AFTER_MS)
        self.reporter = Reporter(name, control, self.pool, self.lanes, self.working, clock, keeper)
        self._lookout = Lookout(self.pool.upstreams, self.reporter.look_again)
        loop.create_task(self._run(), name=name)

    async def _run(self) -> None:
        for link in self._links:
            link.start()
        await self._links[0].wait_connected(FIRST_CONNECTION_S)
        self.reporter.start()
        await self.working.run()
        await self._links[1].close()
        await self.reporter.close()
        await self._lookout.close()
        with suppress(QueueUnavailable):  # then the lease ends by itself
            await self.queue.sign_off()
        await self._links[0].close()
        self.has_ended = True
        self.loop.crash()

    def stop(self) -> None:
        """Ask it to finish what it has and end."""
        self.loop.call_soon(self.working.stop)

    def left(self) -> list[str]:
        """Return what it should not have once nothing is asked any more."""
        claims = self.working._claims
        return [
            *[f"in hand: {job}" for job in sorted(claims._in_hand)],
            *([f"{self.lanes.inputs} inputs in its lanes"] if self.lanes.inputs else []),
            *([f"{len(self.working._sending)} batches"] if self.working._sending else []),
            *[f"{u.load} at {u.name}" for u in self.pool.upstreams if u.load.calls or u.load.inputs or u.load.work],
        ]


class SimulatedWorker:
    """One worker, without HTTP.

    Attributes:
        is_open: Whether it takes requests.
    """

    def __init__(self, timeline: Timeline, network: Network, name: str) -> None:
        self.started_s = timeline.now_s
        self.loop = loop = ProcessLoop(timeline, name, network.connect)
        self.name = name
        self.client: QueueClient | None = None
        self.is_open = False
        loop.create_task(self._run(), name=name)

    async def _run(self) -> None:
        master = Master(FixedAddress(ADDRESS), KEYS)
        link, inbox_link = (RedisLink(master, f"{self.name}-{use}") for use in ("commands", "inbox"))
        control = Control(link, KEYS)
        self.watcher = FleetWatcher(control, inputs_max=BATCH_INPUTS_MAX, per_token=1)
        self.client = QueueClient(
            WorkerQueue(link, inbox_link, KEYS, self.name),
            link,
            inbox_link,
            self.name,
            INPUTS_MAX,
            self.watcher,
            QueueCounts(Count(), Count(), Count()),
        )
        self.watcher.open()
        await self.client.open()
        self.is_open = True

    async def ask(self, texts: Sequence[str], timeout_s: float) -> list[Reply]:
        """Ask for the vectors of one request's texts."""
        assert self.client is not None
        jobs = [_job(texts[at : at + JOB_INPUTS_MAX]) for at in range(0, len(texts), JOB_INPUTS_MAX)]
        return await ask_one_model(Clients(self.client, self.client), Plan(jobs, "/embed"), timeout_s)

    def left(self) -> list[str]:
        """Return what it should not have once nothing is asked any more."""
        if self.client is None:
            return []
        waiting = [f"a future of {job}" for job in self.client._waiting]
        return [*waiting, *([f"{self.client.inputs_in_flight} inputs"] if self.client.inputs_in_flight else [])]


def _job(texts: Sequence[str]) -> PlannedJob:
    body = b"[%b]" % b",".join([b'"%b"' % text.encode() for text in texts])
    return PlannedJob(len(texts), "merge", body, longest=max(map(len, texts)))
