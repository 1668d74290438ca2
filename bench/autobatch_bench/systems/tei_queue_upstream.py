"""`python -m autobatch_bench.systems.tei_queue_upstream PORT LOOP`: an upstream that queues and pads like TEI.

Vectors come from `checking.oracle`. A pass is a timer and uses no CPU, as if the model ran on an accelerator: on two cores a model would compete with the
proxy and the load generator, and that cost could not be separated from the gain of the order of work.
"""

import asyncio
import sys
from collections import deque

from aiohttp import web

from autobatch_bench.checking.oracle import answer
from autobatch_bench.systems.instant_upstream import CALL_INPUTS_MAX, INFO, INPUTS_MAX, JSON, RUNNERS, run_app, texts_of
from autobatch_bench.systems.tei_queue import QueuedCall, QueuedInput, finish_pass, pass_s, take_pass

TEI_INFO = INFO | {"model_id": "bench/tei-queue"}


class QueueingModel:
    """The queue, and the one pass that runs."""

    def __init__(self) -> None:
        self._queue: deque[QueuedInput] = deque()
        self._inputs = 0
        self._arrived = asyncio.Event()

    async def embed(self, request: web.Request) -> web.Response:
        """`POST /embed`: answered when its last input was in a pass."""
        texts = await texts_of(request)
        if len(texts) > CALL_INPUTS_MAX:
            return _error(422, f"batch size {len(texts)} > maximum allowed batch size {CALL_INPUTS_MAX}", "Validation")
        if self._inputs + len(texts) > INPUTS_MAX:
            return _error(429, "Model is overloaded", "Overloaded")
        done = asyncio.Event()
        call = QueuedCall(len(texts), done.set)
        self._inputs += len(texts)
        self._queue.extend(QueuedInput(call, len(text)) for text in texts)
        self._arrived.set()
        try:
            await done.wait()
        finally:
            self._inputs -= len(texts)
        return web.Response(body=answer(texts), headers=JSON)

    async def run(self) -> None:
        """Run one pass at a time, until cancelled."""
        time = asyncio.get_running_loop().time
        ends_s = 0.0
        while True:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                ends_s = time()
            items = take_pass(self._queue)
            # Counted from when the last pass should have ended: a timer wakes up to 1 ms late, a device does not.
            ends_s += pass_s(items)
            await asyncio.sleep(max(0.0, ends_s - time()))
            for call in finish_pass(items):
                call.finished()


def _error(status: int, message: str, kind: str) -> web.Response:
    return web.json_response({"error": message, "error_type": kind}, status=status)


async def serve(port: int) -> None:
    """Serve on loopback until cancelled."""
    model = QueueingModel()
    running = asyncio.create_task(model.run())
    try:
        await run_app(port, TEI_INFO, {"/embed": model.embed})
    finally:
        running.cancel()


if __name__ == "__main__":
    RUNNERS[sys.argv[2]](serve(int(sys.argv[1])))
