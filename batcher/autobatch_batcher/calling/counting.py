"""How many tokens the inputs of a call are, for those of its jobs that asked: each client pays for their own.

1. A call of one job is counted by the upstream itself, in a header of its answer, unless the job has a text twice, or wants
   the number of each.
2. Other texts are counted by the upstream's `/tokenize`, once for all of them and beside the call.
3. What cannot be counted is not guessed.

Source: `/tokenize` and `x-compute-tokens` of text-embeddings-inference 1.9.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from autobatch_batcher.dialects.verdict import retry_pause_s
from autobatch_batcher.jobs import Job
from autobatch_batcher.upstreams.replica import Answer
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import NOT_AS_ASKED, UpstreamError, UpstreamProtocolError, UpstreamUnavailable

ROUTE = "/tokenize"
HEADER = "x-compute-tokens"

_CANNOT = {404, 405, 501}  # an upstream without such a route
_AGAIN = {424, 429, 500, 502, 503, 504}


class _Token(msgspec.Struct):
    """Something that is counted; what it says is skipped."""


_decode = msgspec.json.Decoder(list[list[_Token]]).decode

Post = Callable[[str, bytes], Awaitable[Answer]]


async def count_tokens(post: Post, texts: Sequence[bytes], tokens_max: int, attempts_max: int) -> list[int]:
    """Return the number of tokens of each text, cut off as the upstream does it; an empty list when it cannot tell.

    Args:
        post: Makes one call: route and JSON body.
        texts: JSON strings.
        tokens_max: Of one text.
        attempts_max: Tries, the first included.

    Raises:
        UpstreamError: It does not answer, or answers something else.
    """
    body = b'{"inputs":[%b]}' % b",".join(texts)
    attempt = 0
    while True:
        may_retry = attempt + 1 < attempts_max
        try:
            answer = await post(ROUTE, body)
        except UpstreamUnavailable:
            if not may_retry:
                raise
            retry_after = None
        else:
            if answer.status == 200:
                return [min(count, tokens_max) for count in counts_in(answer.body, len(texts))]
            if answer.status in _CANNOT:
                return []
            if answer.status not in _AGAIN or not may_retry:
                raise UpstreamProtocolError(f"The upstream answered {answer.status} when it was to count tokens")
            retry_after = answer.retry_after
        await pause(retry_pause_s(attempt, retry_after))
        attempt += 1


def counts_in(answer: bytes, count: int) -> list[int]:
    """Return the number of tokens of each of `count` texts.

    Raises:
        UpstreamProtocolError: It is no such answer.
    """
    try:
        rows = _decode(answer)
    except NOT_AS_ASKED as exc:
        raise UpstreamProtocolError("The upstream's answer is not an array of tokens") from exc
    if len(rows) != count:
        raise UpstreamProtocolError(f"The upstream tokenized {len(rows)} texts of {count}")
    return list(map(len, rows))


def counted_alone(measures: dict[str, str]) -> list[int]:
    """Return the number of tokens of a call of one job, from the headers of its answer; empty when they do not tell."""
    said = measures.get(HEADER, "")
    return [int(said)] if said.isascii() and said.isdigit() and len(said) < 12 else []


class Counting:
    """The count for one call, which is on its way already where the call itself cannot tell.

    Args:
        jobs: Of the call.
        items: Its different inputs, JSON.
        places: A job's inputs as places in the call, one tuple a job.
        count: Asks the upstream for the numbers of some texts.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        items: Sequence[bytes],
        places: Sequence[tuple[int, ...]],
        count: Callable[[Sequence[bytes]], Awaitable[list[int]]],
    ) -> None:
        self._items = items
        self._places = [own if job.header.is_counted else () for job, own in zip(jobs, places, strict=True)]
        self._count = count
        self._task: asyncio.Task[dict[int, int]] | None = None
        # Each input goes into a call once, and so it stands in its headers.
        self._is_alone = len({job.body for job in jobs}) == 1 and len(places[0]) == len(items)
        self._wants_each = len(items) > 1 and any(job.header.wants_each for job in jobs)
        self.start()

    def start(self) -> None:
        """Ask where the call itself cannot tell; again when it is another upstream that answers the call."""
        self.cancel()
        if any(self._places) and (self._wants_each or not self._is_alone):
            self._task = asyncio.create_task(self._ask(), name="counting")

    async def tokens(self, measures: dict[str, str]) -> list[list[int]]:
        """Return the tokens of each job, empty where nobody asked or nobody can tell.

        Args:
            measures: Of the call's answer.

        Raises:
            UpstreamError: The upstream counts, but did not do it.
        """
        if not any(self._places):
            return [[] for _ in self._places]
        alone = counted_alone(measures) if self._is_alone else []
        counts: dict[int, int] = {}
        if self._task is not None or not alone:
            try:
                counts = await (self._task or self._ask())
            except UpstreamError:
                if not alone:
                    raise
        if alone and not counts:
            return [alone if own else [] for own in self._places]
        return [[counts[place] for place in own] if counts else [] for own in self._places]

    def cancel(self) -> None:
        """Nobody needs it any more."""
        if self._task is not None and not self._task.cancel() and not self._task.cancelled():
            self._task.exception()  # or the loop complains that nobody has seen it

    async def _ask(self) -> dict[int, int]:
        wanted = sorted({place for own in self._places for place in own})
        texts = [self._items[place] for place in wanted]
        if not all(text.startswith(b'"') for text in texts):
            return {}  # token ids, which no route counts
        return dict(zip(wanted, await self._count(texts), strict=False))
