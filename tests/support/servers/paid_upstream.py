"""An upstream that bills: it refuses what exceeds its calls or tokens of a minute, as OpenAI documents it.

Each limit is a bucket that holds a minute's worth and fills evenly. The minute may be shorter than sixty seconds.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from tests.support.fake_upstream import DIMENSION_TEXT, JSON, FakeUpstream, tokens


@dataclass
class Bucket:
    """What is left of one limit.

    Attributes:
        limit: In a minute.
        minute_s: Seconds of a minute.
    """

    limit: int
    minute_s: float
    left: float = field(init=False)
    at_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.left, self.at_s = float(self.limit), time.monotonic()

    def fill(self) -> None:
        """Fill it up to now."""
        now_s = time.monotonic()
        self.left = min(self.limit, self.left + (now_s - self.at_s) * self.limit / self.minute_s)
        self.at_s = now_s

    def missing_s(self, amount: float) -> float:
        """Seconds until there is so much in it."""
        return max(0.0, amount - self.left) * self.minute_s / self.limit


@dataclass
class PaidUpstream(FakeUpstream):
    """One server that counts.

    Attributes:
        requests: The bucket of calls.
        tokens: The bucket of tokens.
        refused: Calls that it refused.
        answered: Calls that it answered.
    """

    requests: Bucket = field(default_factory=lambda: Bucket(60, 1.0))
    tokens: Bucket = field(default_factory=lambda: Bucket(10**9, 1.0))
    refused: int = 0
    answered: int = 0

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        inputs = orjson.loads(await request.read())["inputs"]
        texts = [inputs] if isinstance(inputs, str) else inputs
        if texts == [DIMENSION_TEXT]:  # what a batcher asks of its own is not billed
            return await super()._embed(request)
        needed = sum(map(tokens, texts))
        for kind, bucket, amount in (("requests", self.requests, 1), ("tokens", self.tokens, needed)):
            bucket.fill()
            if bucket.left < amount:
                self.refused += 1
                return refusal_of(kind, bucket, amount, self._left())
        self.requests.left -= 1
        self.tokens.left -= needed
        self.answered += 1
        response = await super()._embed(request)
        response.headers.update(self._left())
        return response

    def _left(self) -> dict[str, str]:
        return left_of({"requests": self.requests, "tokens": self.tokens})


def left_of(buckets: Mapping[str, Bucket]) -> dict[str, str]:
    """Return the headers that say what is left of each limit."""
    said = {}
    for kind, bucket in buckets.items():
        said[f"x-ratelimit-limit-{kind}"] = str(bucket.limit)
        said[f"x-ratelimit-remaining-{kind}"] = str(int(max(bucket.left, 0)))
        said[f"x-ratelimit-reset-{kind}"] = f"{bucket.missing_s(bucket.limit) * 1000:.0f}ms"
    return said


def refusal_of(kind: str, bucket: Bucket, amount: int, left: Mapping[str, str]) -> web.Response:
    """Return the answer to what a limit does not allow now."""
    wait_s = bucket.missing_s(amount)
    message = f"Rate limit reached for {kind}. Limit {bucket.limit} / min. Please try again in {wait_s:.3f}s."
    error = {"message": message, "type": kind, "param": None, "code": "rate_limit_exceeded"}
    headers = {**JSON, **left, "Retry-After": str(int(wait_s) + 1), "retry-after-ms": f"{wait_s * 1000:.0f}"}
    return web.Response(status=429, body=orjson.dumps({"error": error}), headers=headers)
