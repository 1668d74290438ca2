"""An upstream that bills: it refuses what exceeds its calls or tokens of a minute, and says what is left of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from tests.support.fake_upstream import DIMENSION_TEXT, JSON, FakeUpstream, tokens
from tests.support.paid.minute_counts import Bucket, MinuteCount, headers_of


@dataclass
class PaidUpstream(FakeUpstream):
    """One server that counts.

    Attributes:
        requests: Counts calls.
        tokens: Counts tokens.
        refused: Calls that it refused.
        answered: Calls that it answered.
    """

    requests: MinuteCount = field(default_factory=lambda: Bucket(60, 1.0))
    tokens: MinuteCount = field(default_factory=lambda: Bucket(10**9, 1.0))
    refused: int = 0
    answered: int = 0

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        inputs = orjson.loads(await request.read())["inputs"]
        texts = [inputs] if isinstance(inputs, str) else inputs
        if texts == [DIMENSION_TEXT]:  # what a batcher asks of its own is not billed
            return await super()._embed(request)
        needed = sum(map(tokens, texts))
        for kind, count, amount in (("requests", self.requests, 1), ("tokens", self.tokens, needed)):
            if not count.allows(amount):
                self.refused += 1
                return refusal_of(kind, count, amount, self._left())
        self.requests.use(1)
        self.tokens.use(needed)
        self.answered += 1
        response = await super()._embed(request)
        response.headers.update(self._left())
        return response

    def _left(self) -> dict[str, str]:
        return headers_of({"requests": self.requests, "tokens": self.tokens})


def refusal_of(kind: str, count: MinuteCount, amount: int, said: Mapping[str, str]) -> web.Response:
    """Return the answer to what a limit does not allow now."""
    wait_s = count.missing_s(amount)
    message = f"Rate limit reached for {kind}. Limit {count.limit} / min. Please try again in {wait_s:.3f}s."
    error = {"message": message, "type": kind, "param": None, "code": "rate_limit_exceeded"}
    headers = {**JSON, **said, "Retry-After": str(int(wait_s) + 1), "retry-after-ms": f"{wait_s * 1000:.0f}"}
    return web.Response(status=429, body=orjson.dumps({"error": error}), headers=headers)
