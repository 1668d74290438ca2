"""`python -m bench.instant_upstream PORT LOOP`: an upstream that costs little, so that the proxy's cost is what is left.

Not a model: vectors come from `bench.oracle`. One aiohttp process, on `uvloop` as the embedder, or on `asyncio`.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import uvloop
from aiohttp import web

from bench.oracle import answer

INFO = {
    "model_id": "bench/instant",
    "model_type": {"embedding": {"pooling": "mean"}},
    "max_concurrent_requests": 512,
    "max_client_batch_size": 32,
    "auto_truncate": True,
}
JSON = {"Content-Type": "application/json"}


class Body(msgspec.Struct):
    """What counts here of a request."""

    inputs: str | list[str]


RUNNERS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"uvloop": uvloop.run, "asyncio": asyncio.run}

_decode = msgspec.json.Decoder(Body).decode


async def embed(request: web.Request) -> web.Response:
    """`POST /embed`."""
    inputs = _decode(await request.read()).inputs
    return web.Response(body=answer([inputs] if isinstance(inputs, str) else inputs), headers=JSON)


async def health(_request: web.Request) -> web.Response:
    """`GET /health`."""
    return web.Response()


async def info(_request: web.Request) -> web.Response:
    """`GET /info`."""
    return web.json_response(INFO)


async def serve(port: int) -> None:
    """Serve on loopback until cancelled."""
    app = web.Application()
    app.router.add_post("/embed", embed)
    app.router.add_get("/health", health)
    app.router.add_get("/info", info)
    await web._run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)  # noqa: SLF001 - run_app without its own loop


if __name__ == "__main__":
    RUNNERS[sys.argv[2]](serve(int(sys.argv[1])))
