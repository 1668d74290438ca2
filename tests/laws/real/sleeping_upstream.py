"""`python -m tests.laws.real.sleeping_upstream PORT LAW`: an upstream that speaks TEI's API, computes nothing, and sleeps as its law says."""

import asyncio
import sys
from collections.abc import Callable
from random import Random

import orjson
from aiohttp import web

from autobatch_batcher.simulating.clients import RunHistory
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.simulated_upstream import SimulatedUpstream
from tests.laws.points import SEED

INFO = {"model_id": "simulated", "max_client_batch_size": 1000, "max_concurrent_requests": 1_000_000}
ROW = b"[" + b",".join([b"0.5"] * 8) + b"]"


class StrictTimers:
    """A clock on which what was due at a time happens at that time: a timer of the loop is up to 1 ms late, and a device is not."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due_s: float | None = None

    def now_s(self) -> float:
        """Return the time; of what a timer runs, when it was due."""
        return self._loop.time() if self._due_s is None else self._due_s

    def at(self, when_s: float, happen: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._loop.call_at(when_s, self._run, when_s, happen)

    def _run(self, when_s: float, happen: Callable[[], None]) -> None:
        self._due_s = when_s
        try:
            happen()
        finally:
            self._due_s = None


def app_of(text: str) -> web.Application:
    """Return the server; its law's clock begins with its first call."""
    law = law_of(text)
    upstreams: list[SimulatedUpstream] = []

    async def embed(request: web.Request) -> web.Response:
        inputs = orjson.loads(await request.read())["inputs"]
        texts = [inputs] if isinstance(inputs, str) else inputs
        if texts[0].startswith("What is"):  # the batcher asks for the dimension
            return web.Response(body=b"[" + ROW + b"]", content_type="application/json")
        if not upstreams:
            timers = StrictTimers()
            upstreams.append(SimulatedUpstream(law, Random(SEED), timers.at, timers.now_s, RunHistory()))
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        upstreams[0].call([len(each) for each in texts], answered.set_result)
        if not await answered:
            return web.json_response({"error": "Model is overloaded", "error_type": "Overloaded"}, status=429)
        return web.Response(body=b"[" + b",".join([ROW] * len(texts)) + b"]", content_type="application/json")

    async def info(_request: web.Request) -> web.Response:
        return web.json_response(INFO | {"max_batch_requests": law.said_pass_inputs})

    async def health(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=10_000_000)
    app.add_routes([web.post("/embed", embed), web.get("/info", info), web.get("/health", health)])
    return app


if __name__ == "__main__":
    web.run_app(app_of(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
