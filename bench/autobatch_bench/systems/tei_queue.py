"""How the `tei-queue` fake forms passes and how long they take. Pure.

It stands for TEI's own batching on an accelerator: one first-in-first-out queue for the inputs of all calls, one pass
at a time, padded to its longest input. What it leaves out: tokens, the limit on a pass's tokens, the network.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

PASS_INPUTS_MAX = 8  # TEI's `max_batch_requests` on a small machine
FIXED_S = 0.002  # what a pass costs before its first input: kernel launches, copies
PER_CHARACTER_S = 5e-6  # of a padded pass: 8 short texts of 75 characters are 3 ms, 8 of 1,500 are 60 ms


@dataclass(slots=True)
class QueuedCall:
    """One `/embed` call: `left` of its inputs were in no pass yet, and `finished` answers it when none is."""

    left: int
    finished: Callable[[], None]


@dataclass(frozen=True, slots=True)
class QueuedInput:
    """One input of a call."""

    call: QueuedCall
    characters: int


def take_pass(queue: deque[QueuedInput]) -> list[QueuedInput]:
    """Take the next pass from the head of the queue: whoever came first, whatever their lengths."""
    return [queue.popleft() for _ in range(min(PASS_INPUTS_MAX, len(queue)))]


def pass_s(items: list[QueuedInput]) -> float:
    """How long a pass takes: every input costs as much as the longest."""
    return FIXED_S + PER_CHARACTER_S * len(items) * max(item.characters for item in items)


def finish_pass(items: list[QueuedInput]) -> list[QueuedCall]:
    """Return the calls that have nothing left to wait for."""
    done = []
    for item in items:
        item.call.left -= 1
        if not item.call.left:
            done.append(item.call)
    return done
