"""An upstream that bills, in virtual time: it refuses what exceeds a limit, and says what is left, as one of the real ones does."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from autobatch_batcher.dialects.base import Answer, Post
from autobatch_batcher.tuning.said_limits import said_limits
from tests.simulation.timeline import ProcessLoop, Timeline
from tests.simulation.upstreams import DIMENSION_TEXT, ModelUpstream
from tests.support.fake_upstream import tokens
from tests.support.paid.minute_counts import UNIX_S, MinuteCount, headers_of

if TYPE_CHECKING:
    import asyncio


class PaidModelUpstream(ModelUpstream):
    """One server that counts.

    Attributes:
        limits: What it counts, `requests` or `tokens`.
        said: The counts of which its headers speak, if any; its limits may be others.
        refused: Number of calls that it refused.
        answered_s: When it took the last call.

    Args:
        timeline: The time that passes.
        limits: What it counts.
        said: The counts of which its headers speak; none: it has no such headers.
    """

    def __init__(
        self, timeline: Timeline, limits: Mapping[str, MinuteCount], said: Mapping[str, MinuteCount] | None = None
    ) -> None:
        super().__init__(timeline, "paid")
        self.limits = dict(limits)
        self.said = dict(limits if said is None else said)
        self.refused = 0
        self.answered_s = timeline.now_s

    def use(self, calls: int, used_tokens: int) -> bool:
        """Take a call of this many tokens; return whether it was allowed."""
        amounts = {"requests": calls, "tokens": used_tokens}
        if not all(limit.allows(amounts[kind]) for kind, limit in self.limits.items()):
            return False
        for kind, count in {*self.limits.items(), *self.said.items()}:
            count.use(amounts[kind])
        self.answered_s = self._timeline.now_s
        return True

    def call(self, loop: ProcessLoop, post: Post) -> "asyncio.Future[Answer]":
        """Take a call, or refuse it."""
        texts: list[str] = orjson.loads(post.body)["inputs"]
        if texts == [DIMENSION_TEXT]:
            return super().call(loop, post)
        needed = sum(map(tokens, texts))
        if not self.use(1, needed):
            self.refused += 1
            self._timeline.note(f"paid refuses a call of {loop.name}")
            refusal: asyncio.Future[Answer] = loop.create_future()
            wait_s = max(
                limit.missing_s({"requests": 1, "tokens": needed}[kind]) for kind, limit in self.limits.items()
            )
            headers = {"Retry-After": str(int(wait_s) + 1)} | headers_of(self.said)
            refusal.set_result(self._with(Answer(429, "application/json", b"{}", None), headers))
            return refusal
        answering = super().call(loop, post)
        said = headers_of(self.said)
        future: asyncio.Future[Answer] = loop.create_future()

        def end(ended: "asyncio.Future[Answer]") -> None:
            if not future.done():
                future.set_result(self._with(ended.result(), said, needed))

        answering.add_done_callback(end)
        return future

    def _with(self, answer: Answer, headers: Mapping[str, str], counted: int | None = None) -> Answer:
        measures = {} if counted is None else {"x-compute-tokens": str(counted)}
        left = said_limits(headers, datetime.fromtimestamp(UNIX_S + self._timeline.now_s, UTC))
        retry_after = headers.get("Retry-After")
        return Answer(answer.status, answer.content_type, answer.body, retry_after, measures, left=left)


class SpanUpstream(PaidModelUpstream):
    """One that counts spans of seconds and says what is left of one, but not of how much; when it ends it says with a refusal only.

    So does Azure's OpenAI.
    """

    def _with(self, answer: Answer, headers: Mapping[str, str], counted: int | None = None) -> Answer:
        said = {name: text for name, text in headers.items() if "-limit-" not in name and "-reset-" not in name}
        if "Retry-After" in headers:
            said |= {f"x-ratelimit-reset-{kind}": headers["Retry-After"] for kind in self.said}
        return super()._with(answer, said, counted)
