"""What a trial of suspects needs: how many inputs share it, who makes the call, and a turn, as all batchers try one at a time.

One input is best: a crash then names it, and costs everyone a restart of the upstream. But one by one the last of 64 waits
for 63 calls; where those are slow, longer than a restart takes, or until its deadline is over.
"""

from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from secrets import token_hex
from typing import Protocol, TypeVar

from autobatch_batcher.calling.outcomes import JobOutcome
from autobatch_batcher.jobs import Job
from autobatch_batcher.upstreams.slots import Slot
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.redis.clock import RedisClock

Each = TypeVar("Each")

#: Makes a trial: returns one outcome a job; raises UpstreamBroken when the upstream hangs up.
Answering = Callable[[Sequence[Job], Slot], Awaitable[list[JobOutcome]]]

TIME_SHARE = 0.25  # of what is left of a deadline: the rest is for restarts, and for the suspects of other batchers
ALL_MAX_MS = 5_000  # that all suspects of a call are tried in: nearly always none of them is to blame
LOOK_EVERY_S = 0.05
TRIAL_MAX_MS = 30_000  # a batcher that dies in a trial keeps the others waiting no longer


class Trials(Protocol):
    """What all batchers must agree on: see `BatcherQueue`."""

    def begin_trial(self, token: str, ttl_ms: int) -> Awaitable[bool]:
        """Become the only one that tries, unless another one is."""
        ...

    def end_trial(self, token: str, linger_ms: int) -> Awaitable[None]:
        """Let the next one try so much later."""
        ...

    def is_trying(self) -> Awaitable[bool]:
        """Whether any batcher is trying one."""
        ...

    def bury(self, frame: bytes) -> Awaitable[None]:
        """Keep a job that is given up."""
        ...


class Turn:
    """One attempt to be the only one that tries; its token says in the record whose turn it is.

    Args:
        trials: The record.
        clock: Ends what is said in vain.
    """

    def __init__(self, trials: Trials, clock: RedisClock) -> None:
        self._trials = trials
        self._clock = clock
        self._token = token_hex(8)

    async def begin(self) -> bool:
        """Whether it is our turn now; one that began though its reply was lost is seen by the next call."""
        try:
            return await self._trials.begin_trial(self._token, TRIAL_MAX_MS)
        except QueueUnavailable:
            return False

    async def end(self, linger_ms: int) -> None:
        """Let the others try so much later, also where it is not known whether it began.

        It is said until it is heard: without it they wait as long as a trial may take. No answer waits for that, as none can be
        stored meanwhile.
        """
        until_mono_s, is_over = self._clock.mono_s() + TRIAL_MAX_MS / 1000, False
        while not is_over and self._clock.mono_s() < until_mono_s:
            try:
                await self._trials.end_trial(self._token, linger_ms)
                is_over = True
            except QueueUnavailable:
                await pause(LOOK_EVERY_S)


def inputs_at_once(lefts_ms: Sequence[float], trial_ms: float, suspects: int = 0) -> int:
    """Return how many inputs must share a trial so that all are tried in time, in this order.

    Args:
        lefts_ms: What is left of the deadline of each input, in milliseconds; those that have hardly any do not count.
        trial_ms: What a trial takes, in milliseconds.
        suspects: How many inputs there were in the beginning, those that have been tried included.
    """
    at_least = min(max(1, ceil(suspects * trial_ms / ALL_MAX_MS)), max(1, suspects))
    usable_ms = [left_ms * TIME_SHARE for left_ms in lefts_ms]
    needed = [
        ceil(place * trial_ms / share_ms)
        for place, share_ms in enumerate(usable_ms, start=1)
        if share_ms >= trial_ms > 0
    ]
    return max([at_least, *needed])


def suspects_at_once(count: int, left_ms: float, call_ms: float) -> int:
    """Return how many jobs that batchers died with share a call: as few as there is time for, and all where there is none.

    Args:
        count: How many are to be called, one call after the other.
        left_ms: What is left of their deadlines, in milliseconds.
        call_ms: What a call takes, in milliseconds; 0: unknown.
    """
    return inputs_at_once([left_ms] * count, min(call_ms, left_ms * TIME_SHARE))


def split_off(group: Sequence[Each], count: int) -> tuple[list[Each], list[Each]]:
    """Return the first `count` of a group, and the others."""
    return list(group[:count]), list(group[count:])
