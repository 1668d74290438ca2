"""Once a second, or more often where there are other batchers: probe the upstreams that need it, and publish what this one does."""

import asyncio
import logging
import time
from collections.abc import Sequence

import msgspec

from autobatch_batcher.claiming.loop import WorkingLoop
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.model_keeper import ModelKeeper
from autobatch_batcher.tuning.duty import HAND_OVER_LOOK_EVERY_S, LOOK_EVERY_S, calls_another, lost_ms, take_duties
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.frames import VERSION
from autobatch_shared.contract.model_names import Announcement
from autobatch_shared.contract.status import BatcherStatus, RememberedCalls, UpstreamStatus
from autobatch_shared.measuring.process_use import ProcessUse
from autobatch_shared.periodic import Periodic
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.commands import is_refusal
from autobatch_shared.redis.control import Control

log = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
CHANGING_EVERY_S = 0.2  # while all upstreams are well and excluded: another batcher may move the model at any moment
PROBE_HEALTHY_EVERY_S = 5.0  # TEI's health goes through its backend thread: not more often than needed
LOOP_STALL_MAX_S = 5.0


class Reporter:
    """The batcher's view of itself, for `/health` here and at the proxy.

    Attributes:
        reaches_redis: Whether Redis answered the last report.
        round_trip_s: Seconds that it took to.
        status: What was reported last; None: nothing yet.

    Args:
        announcement: What workers are told of the model, but for the time; None: it has no name.
    """

    def __init__(
        self,
        batcher: str,
        control: Control,
        pool: Pool,
        lanes: Lanes,
        loop: WorkingLoop,
        clock: RedisClock,
        keeper: ModelKeeper,
        announcement: Announcement | None = None,
    ) -> None:
        self._announcement = announcement
        self._keeper = keeper
        self._batcher = batcher
        self._control = control
        self._pool = pool
        self._lanes = lanes
        self._loop = loop
        self._clock = clock
        self._probed_mono_s: dict[str, float] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._has_others = False
        self._remembered: dict[str, RememberedCalls] | None = None  # of each upstream; None: not read yet
        self._disputed: set[str] = set()  # upstreams that by another batcher's report serve something else, or fail
        self._reporting = Periodic("reporter", self._round)
        self._started_mono_s = 0.0
        self._refusal = ""  # Redis's words to the last look at the model; empty: it did not refuse
        self.use = ProcessUse()
        self.status: BatcherStatus | None = None
        self.reaches_redis = False
        self.round_trip_s = 0.0

    @property
    def is_healthy(self) -> bool:
        """Whether Redis answers and takes replies, the working loop moves and an upstream is well."""
        return self.reaches_redis and self._can_answer and any(u.is_usable for u in self._pool.upstreams)

    @property
    def clock_ahead_s(self) -> float:
        """How far Redis's clock is ahead of this process's, as known here."""
        return self._clock.now_ms() / 1000 - time.time()

    @property
    def excluded(self) -> dict[str, str]:
        """The upstreams that are not called, and why."""
        return {each.name: each.reason for each in self._pool.upstreams if not each.is_included}

    @property
    def waits_for(self) -> dict[str, str]:
        """The upstreams that are not usable, and why; of a Redis that refuses what a batcher sends, what it answers."""
        if refusal := self._refusal or self._loop.refusal:
            return {"Redis": f"it answers {refusal!r}"}
        return {each.name: each.obstacle for each in self._pool.upstreams if not each.is_usable}

    @property
    def _can_answer(self) -> bool:
        return self.loop_moves and not self._loop.refusal

    @property
    def loop_moves(self) -> bool:
        """Whether the working loop made a turn lately."""
        return asyncio.get_running_loop().time() - self._loop.moved_mono_s < LOOP_STALL_MAX_S

    def start(self) -> None:
        """Begin to report."""
        self._started_mono_s = asyncio.get_running_loop().time()
        self._keeper.start()
        self._loop.told_to_stop = self._reporting.hurry
        self._reporting.start()

    def look_again(self) -> None:
        """An upstream is back, and may serve another model: let it be called, or the namespace's model move, without delay."""
        self._loop.wake()
        self._reporting.hurry()

    async def close(self) -> None:
        """Stop, and take this batcher out of the reports."""
        await self._reporting.close()
        await asyncio.gather(*self._probes.values(), return_exceptions=True)
        try:
            await self._control.sign_off(self._batcher)
        except QueueUnavailable:
            log.info("sign_off_failed")  # the report is stale in a moment anyway

    async def _round(self) -> float:
        self._probe()
        self._loop.drain.look(asyncio.get_running_loop().time())
        await self._publish()
        if self._disputed:
            self._probe()
        if self._has_others:
            return HAND_OVER_LOOK_EVERY_S if self._pool.hands_over else LOOK_EVERY_S
        is_changing = all(
            each.is_healthy and each.standing.served and not each.is_included for each in self._pool.upstreams
        )
        return CHANGING_EVERY_S if is_changing else REPORT_EVERY_S

    def _probe(self) -> None:
        """Start a probe of each upstream whose turn it is, one in flight to each."""
        now_mono_s = asyncio.get_running_loop().time()
        for upstream in self._pool.upstreams:
            # Where models differ, all are asked more often: the namespace's may move once the last has said so.
            is_quiet = upstream.is_healthy and self._keeper.is_settled and upstream.name not in self._disputed
            every_s = PROBE_HEALTHY_EVERY_S if is_quiet else REPORT_EVERY_S
            running = self._probes.get(upstream.name)
            if running is not None and not running.done():
                continue
            if now_mono_s - self._probed_mono_s.get(upstream.name, float("-inf")) >= every_s:
                self._probed_mono_s[upstream.name] = now_mono_s
                self._probes[upstream.name] = asyncio.create_task(self._probe_one(upstream), name="probe")

    async def _probe_one(self, upstream: Replica) -> None:
        before = upstream.is_healthy, upstream.standing.fingerprint
        await upstream.prober.probe()
        await upstream.try_without_job()
        if (upstream.is_healthy, upstream.standing.fingerprint) != before:
            await self._publish()  # at once: a start may be waiting for readiness

    async def _publish(self) -> None:
        """Report, and look at the namespace's model; report again where that included or excluded an upstream."""
        excluded = self.excluded
        await self._report()
        try:
            await self._keeper.look()
        except QueueUnavailable as error:
            self._note_refusal(str(error).partition(", with args")[0] if is_refusal(error) else "")
        else:
            self._note_refusal("")
        if self.excluded != excluded:
            self._loop.wake()
            await self._report()

    def _note_refusal(self, words: str) -> None:
        if words and words != self._refusal:  # once a reason, not once a look
            log.warning("model_not_looked_at", extra={"error": words})
        self._refusal = words

    async def _report(self, *, again: bool = True) -> None:
        now_mono_s = asyncio.get_running_loop().time()
        upstreams = self._pool.statuses(now_mono_s, has_jobs=self._lanes.inputs > 0) if self._can_answer else []
        self.use.look()
        status = BatcherStatus(
            self._clock.now_ms(),
            self._lanes.inputs,
            upstreams,
            round(self._pool.paced_per_s(self._loop.drain.per_s), 3),
            frame_version=VERSION,
            id=self._batcher,
            alive_ms=int((now_mono_s - self._started_mono_s) * 1000),
            cpu_share=round(self.use.cpu_cores, 2),
            is_stopping=self._loop.is_stopping,
            affordable_inputs=self._pool.affordable_inputs(now_mono_s),
            next_ms=int((LOOK_EVERY_S if self._has_others else REPORT_EVERY_S) * 1000),
        )
        self.status = status
        said = self._announcement and msgspec.structs.replace(self._announcement, at=status.at)
        began_s = time.perf_counter()  # uvloop's own clock stands still within a turn
        try:
            if self._remembered is None:  # before anything of this batcher's is kept
                self._remembered = await self._control.remembered([each.name for each in self._pool.upstreams])
            _drop_foreign(self._remembered, upstreams)
            reports = await self._control.report(self._batcher, status, said)
        except QueueUnavailable:
            self.reaches_redis = False
            return
        self.round_trip_s = time.perf_counter() - began_s
        self.reaches_redis = True
        self._has_others = len(reports) > 1
        self._note_disputed(reports, now_mono_s)
        urls = {each.name for each in self._pool.upstreams}
        self._pool.has_other_batchers = calls_another(self._batcher, urls, reports, self._clock.now_ms())
        if take_duties(self._pool.upstreams, self._batcher, reports, self._clock.now_ms(), self._remembered):
            self._loop.wake()
            if self._pool.stands_by:
                self._reporting.hurry()  # else one that was given a duty, and no permit yet, would ask for it in a second
            if again:  # at once: the others wait for what this one gives up, and this one for what it asks for
                await self._report(again=False)

    def _note_disputed(self, reports: Sequence[BatcherStatus], now_mono_s: float) -> None:
        now_ms = self._clock.now_ms()
        for each in self._pool.upstreams:
            each.lost_s = now_mono_s - lost_ms(self._batcher, each.name, reports, now_ms) / 1000
        self._disputed = {
            each.name for each in self._pool.upstreams if each.is_in_doubt or _serves_another(each, reports, now_mono_s)
        }


def _drop_foreign(remembered: dict[str, RememberedCalls], upstreams: Sequence[UpstreamStatus]) -> None:
    """Forget what is remembered of an upstream when it had another model."""
    for each in upstreams:
        kept = remembered.get(each.url)
        if kept is not None and each.counts_for not in ("", kept.model):
            log.info("upstream_memory_dropped", extra={"upstream": each.url, "why": "it serves another model"})
            del remembered[each.url]


def _serves_another(upstream: Replica, reports: Sequence[BatcherStatus], now_mono_s: float) -> bool:
    """Whether another batcher has found it to serve another model than was learnt here; of one that stands by, first of all."""
    counted = {each.counts_for for report in reports for each in report.upstreams if each.url == upstream.name}
    return not counted <= {"", upstream.standing.counts_for(now_mono_s)}
