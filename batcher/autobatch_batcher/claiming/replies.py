"""The replies to claimed jobs: they are stored whatever happens to Redis meanwhile, until the last of their deadlines.

Redis closes the connection at a value above its `proto-max-bulk-len`, and every other command on that connection fails with
it. So after a failure what may be too large is sent by itself; where that fails twice, the job gets a fault.
"""

import logging
from collections.abc import Sequence

from autobatch_batcher.calling.outcomes import JobOutcome, failure
from autobatch_batcher.claiming.claims import Claims
from autobatch_batcher.metrics import Metrics
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import QueueUnavailable, UpstreamProtocolError
from autobatch_shared.contract.keys import ALWAYS_TAKEN_BYTES
from autobatch_shared.redis.batcher_queue import BatcherQueue
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.redis.commands import is_refusal
from autobatch_shared.redis.link import RedisLink

log = logging.getLogger(__name__)

TRIES_ALONE = 2  # one may meet an outage
REFUSED_S = 10.0  # for so long the last refusal counts: where nothing is asked, nothing else would show that it is over


class Replies:
    """Stores the replies of one batcher.

    Args:
        queue: The batcher's end of the queue, over `link`.
        link: The connection to Redis; it is watched for outages.
        claims: The claims that are given up with the replies.
        clock: Redis's clock, by which deadlines are checked.
        metrics: Counts replies that came too late.
        retry_s: Seconds between two tries while Redis is connected and refuses.
    """

    def __init__(
        self,
        queue: BatcherQueue,
        link: RedisLink,
        claims: Claims,
        clock: RedisClock,
        metrics: Metrics,
        *,
        retry_s: float,
    ) -> None:
        self._queue = queue
        self._link = link
        self._claims = claims
        self._clock = clock
        self._metrics = metrics
        self._retry_s = retry_s
        self._refusal, self._refused_mono_s = "", 0.0

    @property
    def refusal(self) -> str:
        """Redis's words where it has just refused to store replies; empty: it has not."""
        return self._refusal if self._clock.mono_s() - self._refused_mono_s < REFUSED_S else ""

    async def store(self, outcomes: Sequence[JobOutcome], deadline_ms: int) -> None:
        """Store the replies, or lose them with the last of their deadlines, unix milliseconds of Redis's clock."""
        late = 0
        steps = [list(outcomes)]
        tries_alone = 0
        while steps:
            step = steps[0]
            try:
                late += await self._reply(step)
            except QueueUnavailable as error:
                self._note(error)
                left_s = (deadline_ms - self._clock.now_ms()) / 1000
                if left_s <= 0:
                    log.error("replies_lost", extra={"jobs": sum(map(len, steps)), "error": str(error)})  # noqa: TRY400
                    self._claims.doubt()
                    break
                if self._link.is_connected:
                    await pause(min(self._retry_s, left_s))  # refused: not again at once
                else:
                    await self._link.wait_connected(left_s)
                if len(step) > 1:
                    steps[:1] = apart(step)
                elif not is_always_taken(step[0]):
                    tries_alone += 1
                    if tries_alone == TRIES_ALONE:
                        step[0] = too_large(step[0])
            else:
                tries_alone, self._refusal = 0, ""
                del steps[0]
        self._claims.let_go(outcome.job for outcome in outcomes)
        if late:
            self._metrics.late_replies.inc(late)
            log.warning("replies_late", extra={"jobs": late})
            self._claims.doubt()  # Redis may have given them to us again while they were in hand

    def _note(self, error: QueueUnavailable) -> None:
        if not is_refusal(error):
            return
        words = str(error).partition(", with args")[0]
        if words != self.refusal:  # once a reason, not once a try
            log.error("replies_refused", extra={"error": words})
        self._refusal, self._refused_mono_s = words, self._clock.mono_s()

    async def _reply(self, outcomes: Sequence[JobOutcome]) -> int:
        good = [(outcome.job, outcome.frame) for outcome in outcomes if not outcome.is_failure]
        failures = [(outcome.job, outcome.frame) for outcome in outcomes if outcome.is_failure]
        return await self._queue.reply(good, failures)


def too_large(outcome: JobOutcome) -> JobOutcome:
    """Return the fault of a job whose reply cannot go through Redis."""
    log.error("reply_too_large", extra={"job": outcome.job, "reply_bytes": len(outcome.frame)})
    return failure(outcome.job, UpstreamProtocolError("The answer is too large: ask for fewer inputs at once"))


def is_always_taken(outcome: JobOutcome) -> bool:
    """Whether every Redis takes a value of its size."""
    return len(outcome.frame) <= ALWAYS_TAKEN_BYTES


def apart(outcomes: Sequence[JobOutcome]) -> list[list[JobOutcome]]:
    """Return what to send one after the other: what every Redis takes together, then each of the others."""
    taken = [outcome for outcome in outcomes if is_always_taken(outcome)]
    others = [[outcome] for outcome in outcomes if not is_always_taken(outcome)]
    return [taken, *others] if taken else others
