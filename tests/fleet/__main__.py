"""`python -m tests.fleet mixing [REQUESTS]`, `fairness [SECONDS]`, or `fairness-in-one [SECONDS]` with one batcher for both models.

Prints what came of it; exit status 1 if it must not be.
"""

import asyncio
import sys
import time

from tests.fleet.fairness import CALL_INPUTS, CALLS, FLOODED, WATCHED, Latencies, measure
from tests.fleet.fleet import open_fleet
from tests.fleet.mixing import ask_all

REQUESTS, SECONDS = 100_000, 15.0
ROUNDS = 3
SLOWER_MAX = 1.1  # the watched model's p99 beside a flood of another one, over its own


async def mixing(count: int) -> bool:
    """Whether every request got its vector of its model."""
    async with open_fleet() as fleet:
        started_s = time.monotonic()
        outcomes = await ask_all(fleet, count)
        sys.stdout.write(f"{count} requests in {time.monotonic() - started_s:.0f} s: {dict(outcomes)}\n")
    return outcomes == {"right": count}


async def fairness(seconds: float, *, share_batcher: bool = False) -> bool:
    """Whether the flood of one model slows the other no more than it may; they may be one batcher's."""
    limits = {"max_batch_size": CALL_INPUTS, "max_concurrent_batches": CALLS}
    async with open_fleet((FLOODED, WATCHED), share_batcher=share_batcher, **limits) as fleet:
        await fleet.behave(FLOODED, "slow")
        alone, beside = Latencies(), Latencies()
        for _ in range(ROUNDS):  # in turns, so that what else this machine does meets both
            alone += await measure(fleet, seconds / ROUNDS, is_flooded=False)
            beside += await measure(fleet, seconds / ROUNDS, is_flooded=True)
    slower = beside.percentile_ms(99) / alone.percentile_ms(99)
    sys.stdout.write(f"alone {alone}\nbeside a flood {beside}\np99 {slower:.2f} of its own\n")
    return slower <= SLOWER_MAX


def main() -> int:
    """Run one of them; return the exit status."""
    what, *numbers = sys.argv[1:] or ["mixing"]
    number = float(numbers[0]) if numbers else None
    if what == "mixing":
        is_good = asyncio.run(mixing(int(number or REQUESTS)))
    else:
        is_good = asyncio.run(fairness(number or SECONDS, share_batcher=what == "fairness-in-one"))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
