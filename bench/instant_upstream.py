"""`python -m bench.instant_upstream PORT LOOP`: an upstream that costs little, so that the proxy's cost is what is left.

Not a model: vectors come from `bench.oracle`. One aiohttp process, on `uvloop` as the embedder, or on `asyncio`.
`POST /gate/close` makes it keep all answers back until `POST /gate/open`, so that requests can be made to wait.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import uvloop
from aiohttp import web

from bench.oracle import answer, row

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


class OpenaiBody(msgspec.Struct):
    """The same in OpenAI's form."""

    input: str | list[str]


RUNNERS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"uvloop": uvloop.run, "asyncio": asyncio.run}

decode = msgspec.json.Decoder(Body).decode
_decode_openai = msgspec.json.Decoder(OpenaiBody).decode


class Gate:
    """Open, but for those who measure what waiting requests cost."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._opened.set()

    async def embed(self, request: web.Request) -> web.Response:
        """`POST /embed`."""
        inputs = decode(await request.read()).inputs
        if not self._opened.is_set():
            await self._opened.wait()
        return web.Response(body=answer([inputs] if isinstance(inputs, str) else inputs), headers=JSON)

    async def openai(self, request: web.Request) -> web.Response:
        """`POST /v1/embeddings`."""
        given = _decode_openai(await request.read()).input
        await self._opened.wait()
        rows = [msgspec.Raw(row(text)) for text in ([given] if isinstance(given, str) else given)]
        data = [{"object": "embedding", "embedding": each, "index": index} for index, each in enumerate(rows)]
        body = {
            "object": "list",
            "data": data,
            "model": "bench/instant",
            "usage": {"prompt_tokens": 0, "total_tokens": 0},
        }
        return web.Response(body=msgspec.json.encode(body), headers=JSON)

    async def open(self, _request: web.Request) -> web.Response:
        """`POST /gate/open`."""
        self._opened.set()
        return web.Response()

    async def close(self, _request: web.Request) -> web.Response:
        """`POST /gate/close`."""
        self._opened.clear()
        return web.Response()


async def health(_request: web.Request) -> web.Response:
    """`GET /health`."""
    return web.Response()


async def info(_request: web.Request) -> web.Response:
    """`GET /info`."""
    return web.json_response(INFO)


async def serve(port: int) -> None:
    """Serve on loopback until cancelled."""
    gate = Gate()
    app = web.Application()
    app.router.add_post("/embed", gate.embed)
    app.router.add_post("/v1/embeddings", gate.openai)
    app.router.add_post("/gate/open", gate.open)
    app.router.add_post("/gate/close", gate.close)
    app.router.add_get("/health", health)
    app.router.add_get("/info", info)
    await web._run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)  # noqa: SLF001 - run_app without its own loop


if __name__ == "__main__":
    RUNNERS[sys.argv[2]](serve(int(sys.argv[1])))
