"""How many tokens the inputs of a call are, for those of its jobs that asked: each client pays for its own.

1. A call of one job is counted by the upstream itself, where its answer says so, unless the job has a text twice, or wants
   the number of each.
2. Other texts are counted by a call of the dialect's for that, once for all of them and at the same time as the call.
3. An upstream whose API counts whole calls only shares its count out: each different text of a call gets the part of the call's
   tokens that it has of the call's characters, and the parts add up to what the upstream said.
4. Where the dialect counts by itself, as with a tokenizer, nothing is asked.
5. What cannot be counted otherwise is not guessed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from autobatch_batcher.calling.calls import Merged
from autobatch_batcher.dialects.base import Answer, Dialect, Post
from autobatch_batcher.dialects.verdict import OUTAGES, OVERLOADED, PERHAPS_INPUT_ERRORS, retry_pause_s
from autobatch_batcher.jobs import Job
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import UpstreamError, UpstreamProtocolError, UpstreamUnavailable

_CANNOT = {404, 405, 501}  # an upstream without such a route
_AGAIN = {OVERLOADED} | PERHAPS_INPUT_ERRORS | OUTAGES

_decode = msgspec.json.Decoder(str | list[int]).decode

Send = Callable[[Post], Awaitable[Answer]]


async def count_tokens(
    send: Send, dialect: Dialect, texts: Sequence[bytes], tokens_max: int, attempts_max: int
) -> list[int]:
    """Return the number of tokens of each text, cut off as the upstream does it; an empty list when it cannot count.

    Args:
        send: Makes one call.
        dialect: The API that the upstream speaks.
        texts: The texts, each as a JSON string.
        tokens_max: Tokens after which the upstream cuts a text.
        attempts_max: The most attempts of the call, the first included.

    Raises:
        UpstreamError: There is no answer, or one of another shape.
    """
    post = dialect.ask_counts(texts)
    if post is None:
        return []
    attempt = 0
    while True:
        may_retry = attempt + 1 < attempts_max
        try:
            answer = await send(post)
        except UpstreamUnavailable:
            if not may_retry:
                raise
            retry_after = None
        else:
            if answer.status == 200:
                return [min(count, tokens_max) for count in dialect.counts(answer, len(texts))]
            if answer.status in _CANNOT:
                return []
            if answer.status not in _AGAIN or not may_retry:
                raise UpstreamProtocolError(f"The upstream answered {answer.status} when it was to count tokens")
            retry_after = answer.retry_after
        await pause(retry_pause_s(attempt, retry_after))
        attempt += 1


def parts_of(tokens: int, items: Sequence[bytes]) -> list[int]:
    """Share the tokens of a call out to its inputs by their characters, or numbers of token ids; the parts add up to `tokens`.

    Args:
        tokens: Number of tokens of all inputs together.
        items: The inputs, each as JSON: strings, or lists of token ids.
    """
    lengths = [len(_decode(item)) + 1 for item in items]  # an empty text has tokens, too
    all_of_it, given, done = sum(lengths), 0, 0
    parts = []
    for length in lengths:
        done += length
        parts.append(tokens * done // all_of_it - given)
        given += parts[-1]
    return parts


class Counting:
    """The count for one call, which has begun already where the call's own answer will not say enough.

    Args:
        jobs: The jobs of the call.
        merged: Which of the call's inputs belong to which job.
        count: Asks the upstream for the number of tokens of each of some texts; None: it counts whole calls only.
        known: Returns the number of tokens of each of some inputs without asking; None: they are not known.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        merged: Merged,
        count: Callable[[Sequence[bytes]], Awaitable[list[int]]] | None,
        known: Callable[[Sequence[bytes]], list[int] | None],
    ) -> None:
        items, places = merged.items, merged.places
        self._items = items
        self._places = [own if job.header.is_counted else () for job, own in zip(jobs, places, strict=True)]
        self._count = count
        self._known = known
        self._task: asyncio.Task[dict[int, int]] | None = None
        # Each input goes into a call once, and so it stands in its headers.
        self._is_alone = len({job.body for job in jobs}) == 1 and len(places[0]) == len(items)
        self._wants_each = len(items) > 1 and any(job.header.wants_each for job in jobs)
        self.start()

    def start(self) -> None:
        """Begin, if that is needed; and again when another upstream has answered the call."""
        self.cancel()
        if self._count is not None and any(self._places) and (self._wants_each or not self._is_alone):
            self._task = asyncio.create_task(self._ask(), name="counting")

    async def tokens(self, counted: int | None) -> list[list[int]]:
        """Return the tokens of each job, empty where it did not ask or where they cannot be counted.

        Args:
            counted: Number of tokens of all the call's inputs together; None where the call's answer does not say.

        Raises:
            UpstreamError: The upstream counts, but the count failed.
        """
        if not any(self._places):
            return [[] for _ in self._places]
        if self._count is None:
            parts = self._known(self._items) or ([] if counted is None else parts_of(counted, self._items))
            return [[parts[place] for place in own] if parts else [] for own in self._places]
        alone = [counted] if self._is_alone and counted is not None else []
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
        """Stop: it is not needed any more."""
        if self._task is not None and not self._task.cancel() and not self._task.cancelled():
            self._task.exception()  # or the loop complains that it was never retrieved

    async def _ask(self) -> dict[int, int]:
        wanted = sorted({place for own in self._places for place in own})
        texts = [self._items[place] for place in wanted]
        if self._count is None or not all(text.startswith(b'"') for text in texts):
            return {}  # token ids, which no route counts
        return dict(zip(wanted, await self._count(texts), strict=False))
