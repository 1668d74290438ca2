"""One batcher process, of one model or several: every collaborator is made here and passed in.

More than 250 lines, because what a model is served by is made in one place, and changed there while it runs.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from autobatch_batcher.batcher_activity import BatcherActivityPublisher
from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.claiming.loop import WorkingLoop
from autobatch_batcher.dialects.base import WantedModel, dialects_of
from autobatch_batcher.dialects.text_tokens import TokenIds
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.forming.policy import policy_named
from autobatch_batcher.lookout import Lookout
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.model_keeper import ModelKeeper
from autobatch_batcher.reporter import Reporter
from autobatch_batcher.side_port import SideOf, open_side_port
from autobatch_batcher.tracing.wrapping import traced_caller, traced_client
from autobatch_batcher.tuning.pacing import Pacing
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.clients.http_connections import open_sessions
from autobatch_batcher.upstreams.limits import Limits, configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool
from autobatch_batcher.upstreams.standing import Standing
from autobatch_shared.collector import spare_the_collector
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import Keys
from autobatch_shared.contract.model_names import Announcement
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.control import Control
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from autobatch_shared.redis.model_record import ModelRecord
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.settings.choices import is_grpc
from autobatch_shared.settings.definitions import BatcherSettings, without_credentials
from autobatch_shared.settings.named_files import read_own_tokenizer
from autobatch_shared.tracing.switch import open_tracing

if TYPE_CHECKING:
    from autobatch_batcher.upstreams.clients.grpc_client import GrpcClient
    from autobatch_batcher.upstreams.clients.upstream_client import UpstreamClient
    from autobatch_shared.tracing.spans import Tracing

log = logging.getLogger(__name__)

REPLY_TTL_MS = 60_000  # a worker that has not read a reply by then has gone
FIRST_CONNECTION_S = 1.0  # so that a usual start has nothing to complain of


async def serve(
    models: Sequence[BatcherSettings],
    stopped: asyncio.Event,
    began: Callable[["Sequence[ModelAtWork]"], None] | None = None,
) -> None:
    """Build everything, work until `stopped` is set, finish what was claimed.

    Args:
        models: The settings by which each model is served. They share this process and its port, and nothing else.
        stopped: Is set when it is time to end.
        began: Is called with what serves each model, once that is there.
    """
    first = models[0]
    async with AsyncExitStack() as stack:
        tracing = open_tracing("autobatch-batcher")
        if tracing is not None:
            stack.push_async_callback(tracing.close)
        works = [ModelAtWork(each, await replicas_of(each, stack, tracing), tracing) for each in models]
        side = await open_side_port(first.batcher_host, first.batcher_port, [work.side for work in works])
        spare_the_collector()
        if began is not None:
            began(works)
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in works:
                    tasks.create_task(work.run(stopped, side.addresses[0][1]))
        finally:
            await side.cleanup()


class ModelAtWork:
    """One batcher of one model.

    Attributes:
        settings: By which it is served now.

    Args:
        settings: By which it is served.
        replicas: Its upstreams.
        tracing: Takes the spans; None: there are none.
    """

    def __init__(self, settings: BatcherSettings, replicas: list[Replica], tracing: "Tracing | None") -> None:
        self.settings = settings
        self._batcher = batcher = "b" + secrets.token_hex(5)
        name = settings.served_model_name or ""
        keys, clock, metrics = Keys(settings.namespace, name), RedisClock(), Metrics()
        master = Master.from_url(settings.redis_url.get_secret_value(), keys)
        link, watch_link = (RedisLink(master, f"{batcher}-{use}") for use in ("commands", "watch"))
        self._link, self._watch_link = link, watch_link
        self._queue = queue = BatcherQueue(
            link, watch_link, keys, batcher, lease_ms=settings.lease_ms, reply_ttl_ms=REPLY_TTL_MS
        )
        policy = policy_named(*_policy_words(settings))
        self._pool = pool = Pool(replicas, settings.upstream_patience_ms / 1000)
        lanes = Lanes(pool.envelope_bytes)
        self._caller = caller = Caller(
            pool,
            queue,
            clock,
            metrics,
            timeout_max_s=settings.upstream_timeout_ms / 1000,
            attempts_max=settings.upstream_attempts,
            patience_s=settings.upstream_patience_ms / 1000,
        )
        self._loop = loop = WorkingLoop(
            queue,
            link,
            pool,
            traced_caller(caller, tracing, clock, settings.namespace),
            lanes,
            policy,
            clock,
            metrics,
            lease_ms=settings.lease_ms,
        )
        control = Control(link, keys)
        keeper = ModelKeeper(pool.upstreams, ModelRecord(link, keys), control, clock, settings.model_change_after_ms)
        self._reporter = Reporter(batcher, control, pool, lanes, loop, clock, keeper, _announcement(settings))
        activities = Activities(link, settings.namespace)
        self._activity = BatcherActivityPublisher(
            batcher, name, activities, loop.recent, metrics, pool, clock, self._reporter
        )
        self._lookout = Lookout(pool.upstreams, self._reporter.look_again)
        self.side = SideOf(name, self._reporter, metrics, pool, link)

    async def run(self, stopped: asyncio.Event, side_port: int) -> None:
        """Work until `stopped` is set, and finish what was claimed; `side_port` is for the log."""
        link, named = self._link, {"batcher": self._batcher, "model": self.side.model or None}
        link.start()
        self._watch_link.start()
        log.info("started", extra={**named, "side_port": side_port})
        await link.wait_connected(FIRST_CONNECTION_S)
        self._reporter.start()
        self._activity.start()
        await work_until(stopped, self._loop, lambda: self.settings.drain_timeout_ms / 1000)
        await self._watch_link.close()  # a claim that waits there must not follow the end of the lease
        await self._reporter.close()
        await self._activity.close()
        await self._lookout.close()
        with suppress(QueueUnavailable):  # then the lease ends by itself
            await self._queue.sign_off()
        await link.close()
        log.info("stopped", extra=named)

    def go_on_by(self, settings: BatcherSettings) -> None:
        """Go on by settings that differ in `BatcherSettings.reloaded` alone; what is held and what is in flight stays."""
        before, self.settings = self.settings, settings
        now_s, patience_s = asyncio.get_running_loop().time(), settings.upstream_patience_ms / 1000
        self._pool.patience_s = patience_s
        self._caller.bound(
            timeout_max_s=settings.upstream_timeout_ms / 1000,
            attempts_max=settings.upstream_attempts,
            patience_s=patience_s,
        )
        for upstream in self._pool.upstreams:
            upstream.bound(_limits(settings), now_s)
            upstream.tuner.bound(settings.max_concurrent_batches)
        if _policy_words(settings) != _policy_words(before):
            self._loop.go_on_by(policy_named(*_policy_words(settings)))
        self._reporter.look_again()  # workers cut requests by what is reported


def _limits(settings: BatcherSettings) -> Limits:
    return configured(
        settings.max_batch_size,
        settings.payload_limit,
        settings.max_batch_tokens,
        are_calls_counted=settings.upstream_rpm is not None,
    )


def _policy_words(settings: BatcherSettings) -> tuple[str, int, int | None]:
    return settings.batch_policy, settings.max_wait_time_ms, settings.target_p99_ms


def _pacing(name: str, settings: BatcherSettings) -> Pacing | None:
    rpm, tpm = settings.upstream_rpm, settings.upstream_tpm
    return None if rpm is None and tpm is None else Pacing(name, rpm, tpm)


def _announcement(settings: BatcherSettings) -> Announcement | None:
    """What is said of the model, but for the time; None where it has no name."""
    if settings.served_model_name is None:
        return None
    return Announcement(0, settings.served_model_name, settings.aliases, settings.model_is_default)


def _wanted(settings: BatcherSettings) -> WantedModel:
    """The model that is asked of an upstream that may have several."""
    return WantedModel(
        settings.upstream_model,
        settings.upstream_model_version,
        settings.upstream_inputs,
        settings.upstream_output,
        settings.upstream_dimension,
        settings.upstream_tokens_max,
        TokenIds(read_own_tokenizer(settings.tokenizer_file)) if settings.tokenizer_file else None,
        settings.names,
    )


async def replicas_of(
    settings: BatcherSettings, opened: AsyncExitStack, tracing: "Tracing | None" = None
) -> list[Replica]:
    """Return the upstreams of one model, whose connections `opened` closes."""
    session, fresh = await opened.enter_async_context(open_sessions(settings.inference_ca_file))
    wanted = _wanted(settings)
    # Calls that are counted are to be full, whatever the lengths of their inputs.
    is_fixed = settings.batch_shape == "fifo" or settings.upstream_rpm is not None
    replicas = []
    for url in settings.inference_urls:
        name = without_credentials(url)
        pacing, standing = _pacing(name, settings), Standing(settings.model_change_after_ms / 1000)
        client: UpstreamClient
        if is_grpc(url):
            client = await opened.enter_async_context(_grpc_client(url, settings))
        else:
            client = HttpClient(
                session,
                url,
                settings.upstream_headers,
                fresh=fresh,
                answer_bytes_max=settings.answer_limit,
                reads_limits=pacing is not None,
            )
        replicas.append(
            Replica(
                name,
                traced_client(client, tracing, name, standing),
                dialects_of(settings.inference_dialect, url, wanted),
                _limits(settings),
                Tuner(settings.max_concurrent_batches, is_fixed=is_fixed),
                standing,
                pacing,
            )
        )
    return replicas


def _grpc_client(url: str, settings: BatcherSettings) -> "GrpcClient":
    from autobatch_batcher.upstreams.clients.grpc_client import GrpcClient  # noqa: PLC0415 - its packages are an extra

    return GrpcClient(
        url, settings.upstream_headers, ca_file=settings.inference_ca_file, answer_bytes_max=settings.answer_limit
    )


async def work_until(stopped: asyncio.Event, loop: WorkingLoop, drain_timeout_s: Callable[[], float]) -> None:
    """Run the working loop; once stopped, let it finish what it has, for as many seconds as are asked for then."""
    working = asyncio.create_task(loop.run(), name="working-loop")
    stopping = asyncio.create_task(stopped.wait(), name="stop-signal")
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    log.info("draining")
    loop.stop()
    _, unfinished = await asyncio.wait({working}, timeout=drain_timeout_s())
    if unfinished:
        log.warning("drain_timed_out")  # the lease ends, and the others take the jobs
        working.cancel()
    else:
        working.result()  # raises what ended it, if it was not the signal
