"""`python -m autobatch_bench.systems.instant_upstream PORT LOOP`: an upstream that answers at once.

It costs little, so that the proxy's cost shows. Not a model: vectors come from `checking.oracle`. One aiohttp process, on
`uvloop` as the embedder, or on `asyncio`.
`POST /gate/close` makes it hold all answers until `POST /gate/open`, so that requests can be made to wait.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import msgspec
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_bench.checking.oracle import answer, row, row_in_base64

CALL_INPUTS_MAX, INPUTS_MAX = 32, 512  # TEI's defaults
INFO: dict[str, object] = {
    "model_id": "bench/instant",
    "model_type": {"embedding": {"pooling": "mean"}},
    "max_concurrent_requests": INPUTS_MAX,
    "max_client_batch_size": CALL_INPUTS_MAX,
    "auto_truncate": True,
}
JSON = {"Content-Type": "application/json"}
TOKEN = b'{"id":2003,"text":"word","special":false,"start":0,"stop":4}'


class EmbedBody(msgspec.Struct):
    """The fields of a request that are read here."""

    inputs: str | list[str]


class OpenaiBody(msgspec.Struct):
    """The same in OpenAI's form."""

    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"


RUNNERS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"uvloop": uvloop.run, "asyncio": asyncio.run}

_decode = msgspec.json.Decoder(EmbedBody).decode
_decode_openai = msgspec.json.Decoder(OpenaiBody).decode


class GatedUpstream:
    """The upstream's routes behind a gate, which is closed only to measure what waiting requests cost."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._opened.set()

    async def embed(self, request: web.Request) -> web.Response:
        """`POST /embed`."""
        texts = await texts_of(request)
        if not self._opened.is_set():
            await self._opened.wait()
        headers = JSON | {"x-compute-tokens": str(sum(map(tokens, texts)))}
        return web.Response(body=answer(texts), headers=headers)

    async def openai(self, request: web.Request) -> web.Response:
        """`POST /v1/embeddings`."""
        asked = _decode_openai(await request.read())
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        await self._opened.wait()
        rows = [msgspec.Raw(row(text)) if asked.encoding_format == "float" else row_in_base64(text) for text in texts]
        data = [{"object": "embedding", "embedding": each, "index": index} for index, each in enumerate(rows)]
        count = sum(map(tokens, texts))
        body = {
            "object": "list",
            "data": data,
            "model": INFO["model_id"],
            "usage": {"prompt_tokens": count, "total_tokens": count},
        }
        return web.Response(body=msgspec.json.encode(body), headers=JSON)

    async def tokenize(self, request: web.Request) -> web.Response:
        """`POST /tokenize`: about as many and as long tokens as in TEI's answers."""
        texts = await texts_of(request)
        rows = [b"[%b]" % b",".join([TOKEN] * tokens(text)) for text in texts]
        return web.Response(body=b"[%b]" % b",".join(rows), headers=JSON)

    async def open(self, _request: web.Request) -> web.Response:
        """`POST /gate/open`."""
        self._opened.set()
        return web.Response()

    async def close(self, _request: web.Request) -> web.Response:
        """`POST /gate/close`."""
        self._opened.clear()
        return web.Response()


def tokens(text: str) -> int:
    """Return the tokens of a text as this upstream counts them: one per word, and the two special ones."""
    return text.count(" ") + 3


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
    gate = GatedUpstream()
    posts: dict[str, Handler] = {
        "/embed": gate.embed,
        "/v1/embeddings": gate.openai,
        "/tokenize": gate.tokenize,
        "/gate/open": gate.open,
        "/gate/close": gate.close,
    }
    await run_app(port, INFO, posts)


if __name__ == "__main__":
    RUNNERS[sys.argv[2]](serve(int(sys.argv[1])))
