"""A call that takes far longer than any like it, while its upstream answers others.

One of its inputs keeps it, and that should be felt by nobody else:

1. Once it is late, the upstream is asked with a text of ours. If it answers, the call holds no slot any more: others are made meanwhile.
2. Later still it is given up where jobs of other inputs are in it: they are asked for in parts.
"""

import asyncio

from autobatch_batcher.calling.calls import Call
from autobatch_batcher.dialects.base import Answer
from autobatch_batcher.upstreams.slots import Slot
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import UpstreamError, UpstreamTimeout
from autobatch_shared.contract.status import NO_ANSWER

STUCK_TIMES, STUCK_MIN_S = 2.0, 1.0  # of the time after which it is late


class CallStuck(UpstreamError):
    """The upstream has not answered a call, and answers others."""

    code = UpstreamTimeout.code


class LingeringCall:
    """One call.

    Args:
        call: What is asked.
        slot: The permission for it.
        late_s: Seconds after which it is late.
        first: The permission for the same call to another upstream, which has not answered; None: there is none.
    """

    def __init__(self, call: Call, slot: Slot, late_s: float, first: Slot | None = None) -> None:
        self._call = call
        self._slot = slot
        self._late_s = late_s
        self._first = first
        self._patience = asyncio.timeout(None)
        self._looking: asyncio.Task[None] | None = None

    async def answer(self, timeout_s: float) -> Answer:
        """Make it.

        Args:
            timeout_s: Seconds that it may take.

        Raises:
            CallStuck: It is given up, as one of its inputs may keep the others.
            UpstreamError: As `Replica.call` does.
        """
        upstream, call = self._slot.upstream, self._call
        timer = asyncio.get_running_loop().call_later(self._late_s, self._note_late)
        try:
            async with self._patience:
                return await upstream.call(call.post(upstream.dialect), timeout_s, call.asked)
        except TimeoutError:
            raise CallStuck().because(NO_ANSWER) from None
        finally:
            timer.cancel()
            if self._looking is not None:
                self._looking.cancel()

    def _note_late(self) -> None:
        self._slot.upstream.breaker.late(asyncio.get_running_loop().time())
        self._looking = asyncio.create_task(self._look(), name="late call")

    async def _look(self) -> None:
        upstream = self._slot.upstream
        if not await upstream.answers_ours(clears=False):
            return
        self._slot.step_aside()
        if self._first is not None:
            self._first.step_aside()
        if len(self._call.bodies) > 1:
            await pause(max(STUCK_TIMES * self._late_s, STUCK_MIN_S) - self._late_s)
            if await upstream.answers_ours(clears=False):
                self._patience.reschedule(asyncio.get_running_loop().time())
