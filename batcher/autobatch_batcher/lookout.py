"""Look for an upstream that cannot be reached or is doubted, often at first, until it is back: requests wait for it."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.bell import pause

LOOK_MIN_S, LOOK_MAX_S = 0.1, 1.0  # a restart takes a second or a minute, and is seen within a tenth of it
LOOK_GROWTH = 1.3


class Lookout:
    """One task for each upstream that is down, or has to say again what it serves.

    Args:
        upstreams: All upstreams; each says when it is found to be down or doubted.
        changed: Is called when one of them is found to be down or doubted, and when it can be used again.
    """

    def __init__(self, upstreams: Iterable[Replica], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._looking: dict[str, asyncio.Task[None]] = {}
        for upstream in upstreams:
            upstream.went_down = partial(self._begin, upstream)

    async def close(self) -> None:
        """Stop looking."""
        tasks = list(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, upstream: Replica) -> None:
        if upstream.name not in self._looking:
            self._looking[upstream.name] = asyncio.create_task(self._look(upstream), name="lookout")
            self._changed()  # another batcher may take over, once it knows

    async def _look(self, upstream: Replica) -> None:
        pause_s = LOOK_MIN_S
        try:
            while upstream.down_since_s is not None or upstream.standing.served is None:
                await pause(pause_s)
                pause_s = min(pause_s * LOOK_GROWTH, LOOK_MAX_S)
                await upstream.prober.probe()
        finally:
            del self._looking[upstream.name]
        self._changed()
