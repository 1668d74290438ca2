"""Answer from the result cache what was computed before, and ask the queue's client for the rest.

1. Only plain texts are looked up: what shares no call is rare, or the upstream's to judge.
2. A row is stored under the model that computed it, as its reply says, and looked up under the namespace's. Where these
   differ, the model has just changed: nothing is stored, and rows of the two are never put together.
3. A client waits for the look-up, never for the storing.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from autobatch_proxy.queue.client import JobClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.in_flight import Reply
from autobatch_proxy.requests.joining import rows_of
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_shared.contract.cache_names import cache_name
from autobatch_shared.contract.errors import DeadlineExceeded, UpstreamProtocolError
from autobatch_shared.contract.frames import ReplyHeader
from autobatch_shared.redis.result_cache import ResultCache

COUNT_ROUTE = "/tokenize"  # under whose name the number of an input's tokens is kept

_Names = tuple[str, ...]  # of an input's row and, where it is asked for, of its number of tokens
_Values = tuple[bytes, ...]  # what is kept under them

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Looked(NamedTuple):
    """A job that was looked up.

    Attributes:
        names: The names of each input's rows; empty for a job that is not looked up.
        found: The values of each input; None where one of them is missing.
        left: The job of the inputs that were not found; None where all were found.
    """

    names: Sequence[_Names]
    found: Sequence[_Values | None]
    left: PlannedJob | None

    @property
    def names_left(self) -> list[_Names]:
        return [names for names, values in zip(self.names, self.found, strict=True) if values is None]


class CachedClient:
    """Answers from the cache, and asks the client that it wraps for the rest.

    Args:
        client: Is asked for the rows that the cache does not have.
        cache: Has the rows by their names, of all models.
        watcher: Knows which model answers.
    """

    def __init__(self, client: JobClient, cache: ResultCache, watcher: FleetWatcher) -> None:
        self._client = client
        self._cache = cache
        self._watcher = watcher
        self._storing: set[asyncio.Task[None]] = set()

    async def ask(self, plan: Plan, timeout_s: float) -> list[Reply]:
        """Return a reply to each job of a plan, in order; known and computed rows of one job are one reply.

        Raises:
            QueueFull, QueueUnavailable, DeadlineExceeded: As the client does.
        """
        model = self._watcher.model
        if model is None or not model.name or all(job.kind != "merge" for job in plan.jobs):
            self._cache.counts.bypasses.total += 1
            return await self._client.ask(plan, timeout_s)
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        looked = await self._look_up(plan, model.fingerprint)
        jobs = [each.left for each in looked if each.left is not None]
        replies: list[Reply] = []
        if jobs:
            left_s = timeout_s - (loop.time() - started_s)
            if left_s <= 0:
                raise DeadlineExceeded
            asked = msgspec.structs.replace(plan, jobs=jobs, wants_each=plan.are_counted)  # to keep them one by one
            replies = await self._client.ask(asked, left_s)
            if any(header.model != model.fingerprint for header, _ in replies if header.status == 200):
                left_s = timeout_s - (loop.time() - started_s)
                return await self._client.ask(plan, max(left_s, 0)) if any(map(_has_any, looked)) else replies
            self._store([each.names_left for each in looked if each.left is not None], replies)
        computed = iter(replies)
        return [_whole_reply(each, computed, model.fingerprint) for each in looked]

    async def close(self) -> None:
        """Finish what is being stored."""
        await asyncio.gather(*self._storing)

    async def _look_up(self, plan: Plan, model: str) -> list[_Looked]:
        names = [_names(model, plan, job) for job in plan.jobs]
        values = iter(await self._cache.look_up([name for own in names for each in own for name in each]))
        looked = []
        for job, own in zip(plan.jobs, names, strict=True):
            found = [_complete([next(values) for _ in each]) for each in own]
            looked.append(_Looked(own, found, _left(job, found)))
        return looked

    def _store(self, names: Sequence[Sequence[_Names]], replies: Sequence[Reply]) -> None:
        pairs: list[tuple[str, bytes]] = []
        for own, (header, body) in zip(names, replies, strict=True):
            if own and header.status == 200:
                with suppress(UpstreamProtocolError):  # the client reads it when its answer is put together
                    rows = map(bytes, rows_of(body, len(own)))
                    pairs += [(row_name, row) for (row_name, *_), row in zip(own, rows, strict=True)]
                    if len(header.tokens) == len(own):
                        pairs += [
                            (name, b"%d" % n) for (_, *rest), n in zip(own, header.tokens, strict=True) for name in rest
                        ]
        if pairs:
            task = asyncio.create_task(self._cache.store(pairs))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)


def _names(model: str, plan: Plan, job: PlannedJob) -> list[_Names]:
    if job.kind != "merge":
        return []
    inputs = [job.body[1:-1]] if job.n == 1 else map(bytes, _decode_items(job.body))
    kinds = ((plan.route, job.options), (COUNT_ROUTE, None)) if plan.are_counted else ((plan.route, job.options),)
    return [tuple([cache_name(model, route, options, each) for route, options in kinds]) for each in inputs]


def _complete(values: Sequence[bytes | None]) -> _Values | None:
    """What was found of one input, when all of it was."""
    found = tuple([value for value in values if value is not None])
    return found if len(found) == len(values) else None


def _left(job: PlannedJob, found: Sequence[_Values | None]) -> PlannedJob | None:
    """The job of the inputs that were not found; None when no input is left."""
    if found and None not in found:
        return None
    if not any(found):
        return job
    items = [item for item, values in zip(_decode_items(job.body), found, strict=True) if values is None]
    return msgspec.structs.replace(job, n=len(items), body=b"[%b]" % b",".join(items), places=())


def _has_any(looked: _Looked) -> bool:
    return any(looked.found)


def _whole_reply(looked: _Looked, computed: Iterator[Reply], model: str) -> Reply:
    """The reply to a whole job: its known rows, and those of the next reply where some were asked for."""
    known = [values for values in looked.found if values is not None]
    tokens = [int(count) for _, *counts in known for count in counts]
    if looked.left is None:
        return ReplyHeader("", 200, tokens=tokens, model=model), b"[%b]" % b",".join([row for row, *_ in known])
    header, body = next(computed)
    if not known or header.fault or header.status != 200:
        return header, body
    try:
        rows = iter(rows_of(body, looked.left.n))
    except UpstreamProtocolError as error:
        return msgspec.structs.replace(header, status=0, fault=error.code), str(error).encode()
    tokens = [*tokens, *header.tokens] if header.tokens else []
    # What its call cost is not what the whole job would have.
    whole = msgspec.structs.replace(header, tokens=tokens, measures={})
    return whole, b"[%b]" % b",".join([next(rows) if values is None else values[0] for values in looked.found])
