"""How the `tei-queue` fake forms passes and how long they take. Pure.

It simulates TEI's own batching on an accelerator: one first-in-first-out queue for the inputs of all calls, one pass
at a time, padded to its longest input. It leaves out tokens, the limit on a pass's tokens, the network.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

PASS_INPUTS_MAX = 8  # TEI's `max_batch_requests` on a small machine
FIXED_S = 0.002  # the cost of a pass before its first input: kernel launches, copies
PER_CHARACTER_S = 5e-6  # of a padded pass: 8 short texts of 75 characters are 3 ms, 8 of 1,500 are 60 ms


@dataclass(slots=True)
class QueuedCall:
    """One `/embed` call: `left` of its inputs were not in a pass yet; `finished` answers it when none are left."""

    left: int
    finished: Callable[[], None]


@dataclass(frozen=True, slots=True)
class QueuedInput:
    """One input of a call."""

    call: QueuedCall
    characters: int


def take_pass(queue: deque[QueuedInput]) -> list[QueuedInput]:
    """Take the next pass from the head of the queue: in order of arrival, whatever the lengths."""
    return [queue.popleft() for _ in range(min(PASS_INPUTS_MAX, len(queue)))]


def pass_s(items: list[QueuedInput]) -> float:
    """Return how long a pass takes: every input costs as much as the longest."""
    return FIXED_S + PER_CHARACTER_S * len(items) * max(item.characters for item in items)


def finish_pass(items: list[QueuedInput]) -> list[QueuedCall]:
    """Return the calls whose last input was in this pass."""
    done = []
    for item in items:
        item.call.left -= 1
        if not item.call.left:
            done.append(item.call)
    return done
