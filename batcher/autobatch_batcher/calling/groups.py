"""How many inputs to try in one call, of those that an upstream may have died of. Pure.

One is best: a crash then names its input, and costs everyone a restart of the upstream. But one by one the last of 64 waits
for 63 calls; where those are slow, its deadline is over before its turn comes.
"""

from collections.abc import Sequence
from math import ceil
from typing import TypeVar

Each = TypeVar("Each")

TIME_SHARE = 0.25  # of what is left of a deadline: the rest is for restarts, and for the suspects of other batchers


def inputs_at_once(lefts_ms: Sequence[float], trial_ms: float) -> int:
    """Return how many inputs must share a trial so that all are tried in time, in this order.

    Args:
        lefts_ms: What is left of the deadline of each input, in milliseconds; those that have hardly any do not count.
        trial_ms: What a trial takes, in milliseconds.
    """
    usable_ms = [left_ms * TIME_SHARE for left_ms in lefts_ms]
    needed = [
        ceil(place * trial_ms / share_ms)
        for place, share_ms in enumerate(usable_ms, start=1)
        if share_ms >= trial_ms > 0
    ]
    return max(needed, default=1)


def split_off(group: Sequence[Each], count: int) -> tuple[list[Each], list[Each]]:
    """Return the first `count` of a group, and the others."""
    return list(group[:count]), list(group[count:])
