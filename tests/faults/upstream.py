"""`python -m tests.faults.upstream PORT [MODEL]`: an upstream as a process that can misbehave on demand, and die.

`POST /behave` with a name of BEHAVIOURS sets what every later call of `/embed` gets; `POST /counts` returns what was
computed more than once, and resets it. A text with DEADLY in it kills the process. Another MODEL has other vectors, equally long.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from weakref import WeakSet

import orjson
import uvloop
from aiohttp import web

from autobatch_batcher.dialects.base import SAMPLE_TEXT
from autobatch_bench.checking.oracle import answer, row
from tests.faults.outcome import MODEL, named_by
from tests.support.fake_upstream import JSON, tei_error

CALL_S = 0.01
SLOW_S = 0.4
DRAIN_S = 2.0
NARROW_TEXT_S, PADDED_LETTER_S = 0.002, 1.5e-6
PERMITS, PERMITS_LIMITED = 512, 64
LIMITED_S = 0.08
DEADLY = "deadly"
INFO = {"model_id": MODEL, "max_client_batch_size": 32}
LOWERED = "8 inputs at most"
LOWERED_INPUTS = 8
REFUSING = "401 on every path"
DIMENSION_TEXT = orjson.loads(SAMPLE_TEXT)

Making = Callable[[list[str]], web.Response]


def says(status: int, **headers: str) -> Making:
    return lambda _texts: web.Response(
        status=status,
        body=orjson.dumps({"error": f"told to say {status}", "error_type": "Backend"}),
        headers=JSON | headers,
    )


def body(make: Callable[[list[str]], bytes], content_type: str = "application/json") -> Making:
    return lambda texts: web.Response(body=make(texts), headers={"Content-Type": content_type})


#: Answers that are sent at once instead of the rows.
BEHAVIOURS: dict[str, Making] = {
    REFUSING: says(401),
    "429": says(429),
    "429 with Retry-After": says(429, **{"Retry-After": "1"}),
    "500": says(500),
    "503": says(503),
    "424": lambda _texts: tei_error(424, "told to say 424", "Backend"),
    "HTML": body(lambda _texts: b"<html><body>Welcome</body></html>", "text/html"),
    "truncated JSON": body(lambda texts: answer(texts)[:-100]),
    "too few rows": body(lambda texts: answer(texts[1:])),
    "too many rows": body(lambda texts: answer([*texts, "one more"])),
    "a row of another length": body(
        lambda texts: b"[%b,[0.5,0.5]]" % b",".join(map(row, texts[1:])) if texts[1:] else b"[[]]"
    ),
    "null for a row": body(lambda texts: b"[%b]" % b",".join([b"null", *map(row, texts[1:])])),
}


class FaultyUpstream:
    """The process.

    Attributes:
        behaviour: A name of BEHAVIOURS, or `good`, `slow`, `narrow`, `padded`, `limited`, `gate`, `hang`, `cut`, `keep-alive race`, or
            LOWERED.

    Args:
        model: The name of its model.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self.behaviour = "good"
        self._served: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._computed: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._device = asyncio.Lock()
        self._in_flight = 0

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """`POST /embed`."""
        texts = orjson.loads(await request.read())["inputs"]
        if any(DEADLY in text for text in texts):
            os._exit(9)
        if (at_once := self._at_once(request, texts)) is not None:
            return at_once
        behaviour = self.behaviour
        if behaviour == "hang":
            await self._changed.wait()
            return _hang_up(request)
        if behaviour == "limited":
            return await self._within_permits(texts)
        self._computed.update(texts)
        if behaviour == "gate":
            await self._changed.wait()
        if behaviour in (
            "narrow",
            "padded",
        ):  # one call at a time, and each text costs, or each is as long as the longest
            longest_s = PADDED_LETTER_S * max(map(len, texts))
            async with self._device:
                await asyncio.sleep(CALL_S + (NARROW_TEXT_S if behaviour == "narrow" else longest_s) * len(texts))
        else:
            await asyncio.sleep(SLOW_S if behaviour == "slow" else CALL_S)
        if behaviour == "cut":
            return await _cut(request, answer(texts))
        return self._rows(texts)

    def _at_once(self, request: web.Request, texts: list[str]) -> web.Response | None:
        """The answer to a call for which nothing is computed; None for another one."""
        if texts == [DIMENSION_TEXT] and self.behaviour != REFUSING:  # what a batcher asks of its own
            return self._rows(texts)
        if self.behaviour == LOWERED and len(texts) > LOWERED_INPUTS:
            return tei_error(
                422, f"batch size {len(texts)} > maximum allowed batch size {LOWERED_INPUTS}", "Validation"
            )
        if self.behaviour == "keep-alive race" and request.transport in self._served:
            return _hang_up(request)
        if request.transport is not None:
            self._served.add(request.transport)
        make = BEHAVIOURS.get(self.behaviour)
        return None if make is None else make(texts)

    def _rows(self, texts: list[str]) -> web.Response:
        return web.Response(body=answer([named_by(self._model, text) for text in texts]), headers=JSON)

    async def _within_permits(self, texts: list[str]) -> web.Response:
        """Answer as TEI does: each input in flight needs a permit, and a call that does not get all is refused."""
        if self._in_flight + len(texts) > PERMITS_LIMITED:
            return tei_error(429, "Model is overloaded", "Overloaded")
        self._computed.update(texts)
        self._in_flight += len(texts)
        try:
            await asyncio.sleep(LIMITED_S)
        finally:
            self._in_flight -= len(texts)
        return self._rows(texts)

    async def behave(self, request: web.Request) -> web.Response:
        """`POST /behave`."""
        self.behaviour = await request.text()
        self._changed.set()
        self._changed = asyncio.Event()
        return web.Response()

    async def counts(self, _request: web.Request) -> web.Response:
        """`POST /counts`."""
        again = {text: count for text, count in self._computed.items() if count > 1}
        self._computed.clear()
        return web.json_response(again)

    async def health(self, _request: web.Request) -> web.Response:
        """`GET /health`."""
        if self.behaviour == "hang":
            await self._changed.wait()
        return web.Response()

    async def info(self, _request: web.Request) -> web.Response:
        """`GET /info`."""
        if self.behaviour == REFUSING:
            return web.Response(status=401)
        limit = {"max_client_batch_size": LOWERED_INPUTS} if self.behaviour == LOWERED else {}
        permits = PERMITS_LIMITED if self.behaviour == "limited" else PERMITS
        return web.json_response(INFO | {"model_id": self._model, "max_concurrent_requests": permits} | limit)


async def _cut(request: web.Request, whole: bytes) -> web.StreamResponse:
    """Send half of it, and close the connection."""
    response = web.StreamResponse(headers=JSON | {"Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
    _hang_up(request)
    return response


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def serve(port: int, model: str) -> None:
    """Serve until killed; after a SIGTERM, answer the calls in flight."""
    server = FaultyUpstream(model)
    app = web.Application(client_max_size=3_000_000)
    routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
        ("POST", "/embed", server.embed),
        ("POST", "/behave", server.behave),
        ("POST", "/counts", server.counts),
        ("GET", "/health", server.health),
        ("GET", "/info", server.info),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=DRAIN_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096, reuse_address=True).start()
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    await terminated.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else MODEL))
