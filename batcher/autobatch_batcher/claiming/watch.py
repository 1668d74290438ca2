"""Waits for a push beside the working loop, and wakes it. A job that comes alone is claimed in the moment of its push.

1. One watch at a time. It ends by itself, so that the loop decides anew what it may bring.
2. What it claims is in our record in Redis, under our lease, as every claim; it is held only once the loop has taken it.
3. A claim that waits is made also if this process hangs meanwhile: then those jobs come back with the lease.
4. Nor can it be called back: a batcher that stops waits for its end, which it hastens.
"""

import asyncio

from autobatch_batcher.claiming.claims import SUSPECTS_PER_CLAIM, Claims
from autobatch_batcher.forming.policy import Wanted
from autobatch_shared.bell import Bell, pause
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.batcher_queue import BatcherQueue, Claim
from autobatch_shared.redis.link import RETRY_PAUSE_S

BLOCK_S = 0.5  # well below half of the link's silence limit


class Watch:
    """Waits at the queue's bell for one working loop.

    Attributes:
        was_woken: Whether a push woke this batcher, for which a claim has to follow.
        rings: How often a push woke it.

    Args:
        queue: The batcher's end of the queue.
        claims: Are told that there may be jobs, or when it is not known what was claimed.
        bell: Wakes the working loop.
        pause_max_s: The most seconds until the loop is woken after a failure; after a first one it is woken soon, as the
            connection may have broken and be back.
    """

    def __init__(self, queue: BatcherQueue, claims: Claims, bell: Bell, *, pause_max_s: float) -> None:
        self.was_woken = False
        self.rings = 0
        self._queue = queue
        self._claims = claims
        self._bell = bell
        self._pause_s = RETRY_PAUSE_S
        self._pause_max_s = pause_max_s
        self._task: asyncio.Task[None] | None = None
        self._brought: tuple[Claim, float, int] | None = None
        self._is_hastened = False

    @property
    def is_on(self) -> bool:
        """Whether it waits, or has brought what was not taken yet."""
        return self._task is not None or self._brought is not None

    @property
    def has_brought(self) -> bool:
        """Whether it has brought what was not taken yet."""
        return self._brought is not None

    def begin(self, wanted: Wanted | None, at_once: int) -> None:
        """Wait for a push.

        Args:
            wanted: What to claim with it; None: nothing yet.
            at_once: Inputs that could be sent now: see `BatcherQueue.claim`.
        """
        self._task = asyncio.create_task(self._watch(wanted, at_once), name="queue-watch")

    def take(self) -> tuple[Claim, float, int] | None:
        """Take what it brought: a claim, when it was asked for, and the most inputs in a call then; None: there is none."""
        brought, self._brought = self._brought, None
        return brought

    async def hasten(self) -> None:
        """Let it end: with a ring of our own, or by itself where another batcher has waited for one for longer."""
        if self._task is not None and not self._is_hastened:
            self._is_hastened = True
            await self._queue.ring()

    async def _watch(self, wanted: Wanted | None, at_once: int) -> None:
        try:
            if wanted is None:
                if await self._queue.watch(BLOCK_S):
                    self.rings += 1
                    self.was_woken = self._claims.may_have_jobs = True
            else:
                asked_s, inputs_max = self._claims.mono_s(), wanted.call_inputs_max
                claim = await self._queue.watch_and_claim(
                    BLOCK_S, wanted.inputs, SUSPECTS_PER_CLAIM, inputs_max, at_once
                )
                self._brought = claim, asked_s, inputs_max
        except QueueUnavailable:
            self._claims.doubt()
            await pause(self._pause_s)  # the next turn's claim fails with the reason
            self._pause_s = min(2 * self._pause_s, self._pause_max_s)
        else:
            self._pause_s = RETRY_PAUSE_S
        finally:
            self._task = None
            self._bell.ring()
