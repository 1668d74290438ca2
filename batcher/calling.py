"""Turn a batch into replies, whatever the upstream does: call, retry, split, give up. Never raises an upstream's fault."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from autobatch.bell import pause
from autobatch.clock import RedisClock
from autobatch.errors import AutobatchError, DeadlineExceeded, UpstreamUnavailable
from autobatch.frames import ReplyHeader, encode
from batcher.cutting import cut, splice
from batcher.forming import Job
from batcher.metrics import Metrics
from batcher.slots import Pool, Slot
from batcher.upstream import Answer, Upstream
from batcher.verdict import INPUT_ERRORS, Verdict, fault, judge, retry_pause_s

log = logging.getLogger(__name__)


class Reply(msgspec.Struct, frozen=True):
    """What to tell of one job: a reply frame, and whether it is a failure of ours."""

    job: str
    frame: bytes
    is_failure: bool = False


class Caller:
    """Makes the upstream calls of batches.

    Args:
        pool: Where a retry may go elsewhere.
        clock: For deadlines.
        metrics: Counts calls, retries and splits.
        timeout_max_s: The longest that one call may take.
        attempts_max: Tries of one call that fails by an outage.
    """

    def __init__(
        self, pool: Pool, clock: RedisClock, metrics: Metrics, *, timeout_max_s: float, attempts_max: int
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._timeout_max_s = timeout_max_s
        self._attempts_max = attempts_max

    async def answer(self, jobs: Sequence[Job], slot: Slot, attempts_max: int | None = None) -> list[Reply]:
        """Return one reply a job, in the same order.

        Args:
            jobs: Of one lane.
            slot: Where to call; it moves when a retry goes elsewhere.
            attempts_max: Less than usual for a half of a batch whose tries are used up.
        """
        tries = attempts_max or self._attempts_max
        try:
            verdict, answer = await self._call(jobs, slot, tries)
            if verdict is Verdict.SPLIT:
                self._metrics.splits.inc()
                middle = len(jobs) // 2
                left = tries if answer.status in INPUT_ERRORS else 1
                halves = [await self.answer(half, slot, left) for half in (jobs[:middle], jobs[middle:])]
                return [*halves[0], *halves[1]]
            if verdict is Verdict.PASS_ON:
                (job,) = jobs
                header = ReplyHeader(job.header.id, answer.status, content_type=answer.content_type)
                return [Reply(job.header.id, encode(header, answer.body))]
            parts = cut(answer.body, [job.header.n for job in jobs])
        except AutobatchError as error:
            log.warning("batch_failed", extra={"error": str(error), "code": error.code, "jobs": len(jobs)})
            return [failure(job.header.id, error) for job in jobs]
        return [
            Reply(job.header.id, encode(ReplyHeader(job.header.id, 200), part))
            for job, part in zip(jobs, parts, strict=True)
        ]

    async def _call(self, jobs: Sequence[Job], slot: Slot, attempts_max: int) -> tuple[Verdict, Answer]:
        """Call, up to `attempts_max` times, until there is an answer to act on.

        Raises:
            UpstreamError: All attempts failed.
            DeadlineExceeded: Nobody waits any more.
        """
        first = jobs[0]
        is_verbatim = first.header.kind == "verbatim"
        if is_verbatim:
            body, content_type = first.body, first.header.content_type
        else:
            body, content_type = splice([job.body for job in jobs], first.header.options), "application/json"
        attempt = 0
        while True:
            may_retry = attempt + 1 < attempts_max
            retry_after = None
            try:
                answer = await self._post(slot.upstream, first.header.route, body, content_type, jobs)
            except UpstreamUnavailable:
                if not may_retry:
                    raise
            else:
                verdict = judge(answer.status, len(jobs), is_verbatim=is_verbatim, may_retry=may_retry)
                if verdict is Verdict.GIVE_UP:
                    raise fault(answer.status)
                if verdict is not Verdict.RETRY:
                    return verdict, answer
                retry_after = answer.retry_after
            self._metrics.retries.inc()
            log.warning(
                "upstream_retry", extra={"attempt": attempt + 1, "jobs": len(jobs), "upstream": slot.upstream.name}
            )
            await pause(retry_pause_s(attempt, retry_after))
            slot.move_to(self._pool.other_than(slot, sum(job.header.n for job in jobs)))
            attempt += 1

    async def _post(
        self, upstream: Upstream, route: str, body: bytes, content_type: str | None, jobs: Sequence[Job]
    ) -> Answer:
        """One attempt, for no longer than the most patient of the clients."""
        left_s = (max(job.header.deadline for job in jobs) - self._clock.now_ms()) / 1000
        if left_s <= 0:
            raise DeadlineExceeded
        started_s = asyncio.get_running_loop().time()
        code = 0
        try:
            answer = await upstream.post(route, body, content_type, min(left_s, self._timeout_max_s))
            code = answer.status
        finally:
            self._metrics.upstream_calls.labels(code).inc()
            self._metrics.upstream_seconds.observe(asyncio.get_running_loop().time() - started_s)
        return answer


def failure(job: str, error: AutobatchError) -> Reply:
    """Return the reply that tells an error of ours."""
    return Reply(job, encode(ReplyHeader(job, 0, error.code), str(error).encode()), is_failure=True)
