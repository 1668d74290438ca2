"""A paid API, with OpenAI's routes below a path: it asks for a key, and refuses what exceeds its calls or tokens of a minute."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from tests.support.fake_upstream import JSON, tokens, vector
from tests.support.paid.minute_counts import Bucket, MinuteCount, headers_of
from tests.support.paid.paid_upstream import refusal_of

MODEL = "minilm"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class PaidApi:
    """What it allows, and what it was asked.

    Attributes:
        root: The path below which its routes are.
        vector_of: Computes a text's vector.
        key: That it asks for.
        requests: Counts calls.
        tokens: Counts tokens.
        answered: Calls that it answered.
    """

    root: str = "/api/v1"
    vector_of: Callable[[str], list[float]] = vector
    key: str = "sk-paid"
    requests: MinuteCount = field(default_factory=lambda: Bucket(600, 60.0))
    tokens: MinuteCount = field(default_factory=lambda: Bucket(60_000, 60.0))
    answered: int = 0

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[str]:
        """Listen; its URL, with the path below which its routes are."""
        app = web.Application(middlewares=[self._check_key])
        app.router.add_get(f"{self.root}/models", self._models)
        app.router.add_post(f"{self.root}/embeddings", self._embeddings)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True).start()
            yield f"http{'' if tls is None else 's'}://127.0.0.1:{runner.addresses[0][1]}{self.root}"
        finally:
            await runner.cleanup()

    @web.middleware
    async def _check_key(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Authorization") == f"Bearer {self.key}":
            return await handler(request)
        error = {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}
        return web.Response(status=401, body=orjson.dumps({"error": error}), headers=JSON)

    async def _models(self, _request: web.Request) -> web.Response:
        listed = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "paid"}]}
        return web.Response(body=orjson.dumps(listed), headers=JSON)

    async def _embeddings(self, request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())["input"]
        texts = [asked] if isinstance(asked, str) else asked
        needed = sum(map(tokens, texts))
        counts = {"requests": (self.requests, 1), "tokens": (self.tokens, needed)}
        for kind, (count, amount) in counts.items():
            if not count.allows(amount):
                return refusal_of(kind, count, amount, self._left())
        for count, amount in counts.values():
            count.use(amount)
        self.answered += 1
        rows = [
            {"object": "embedding", "index": index, "embedding": self.vector_of(text)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": needed, "total_tokens": needed}
        body = {"object": "list", "data": rows, "model": MODEL, "usage": usage}
        return web.Response(body=orjson.dumps(body), headers=JSON | self._left())

    def _left(self) -> dict[str, str]:
        return headers_of({"requests": self.requests, "tokens": self.tokens})
