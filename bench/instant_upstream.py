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
from aiohttp.typedefs import Handler

from bench.oracle import answer, row

CALL_INPUTS_MAX, INPUTS_MAX = 32, 512  # as TEI's defaults
INFO: dict[str, object] = {
    "model_id": "bench/instant",
    "model_type": {"embedding": {"pooling": "mean"}},
    "max_concurrent_requests": INPUTS_MAX,
    "max_client_batch_size": CALL_INPUTS_MAX,
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

_decode = msgspec.json.Decoder(Body).decode
_decode_openai = msgspec.json.Decoder(OpenaiBody).decode


class Gate:
    """Open, but for those who measure what waiting requests cost."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._opened.set()

    async def embed(self, request: web.Request) -> web.Response:
        """`POST /embed`."""
        texts = await texts_of(request)
        if not self._opened.is_set():
            await self._opened.wait()
        return web.Response(body=answer(texts), headers=JSON)

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


async def texts_of(request: web.Request) -> list[str]:
    """Return the inputs of a `POST /embed`."""
    inputs = _decode(await request.read()).inputs
    return [inputs] if isinstance(inputs, str) else inputs


async def run_app(port: int, info: dict[str, object], posts: dict[str, Handler]) -> None:
    """Serve these `POST` routes, `GET /health` and `GET /info` on loopback until cancelled."""

    async def tell_health(_request: web.Request) -> web.Response:
        return web.Response()

    async def tell_info(_request: web.Request) -> web.Response:
        return web.json_response(info)

    app = web.Application()
    for path, handler in posts.items():
        app.router.add_post(path, handler)
    app.router.add_get("/health", tell_health)
    app.router.add_get("/info", tell_info)
    await web._run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)  # noqa: SLF001 - run_app without its own loop


async def serve(port: int) -> None:
    """Serve until cancelled."""
    gate = Gate()
    posts: dict[str, Handler] = {
        "/embed": gate.embed,
        "/v1/embeddings": gate.openai,
        "/gate/open": gate.open,
        "/gate/close": gate.close,
    }
    await run_app(port, INFO, posts)


if __name__ == "__main__":
    RUNNERS[sys.argv[2]](serve(int(sys.argv[1])))
