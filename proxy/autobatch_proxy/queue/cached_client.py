"""Answer from the result cache what was computed before, and ask the desk for the rest.

1. Only plain texts are looked up: what travels alone is rare, or not ours to judge.
2. Nothing is looked up or stored unless all upstreams name the same model; and nothing is stored when that changed
   while the answer was on its way.
3. A client waits for the look-up, never for the storing.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from autobatch_proxy.queue.client import Desk, Reply
from autobatch_proxy.requests.plan import Piece, Plan
from autobatch_proxy.requests.rows import rows_of
from autobatch_shared.contract.cache_names import cache_name
from autobatch_shared.contract.errors import DeadlineExceeded, UpstreamProtocolError
from autobatch_shared.contract.frames import ReplyHeader
from autobatch_shared.redis.result_cache import ResultCache

COUNT_ROUTE = "/tokenize"  # under whose name the number of an input's tokens is kept

_Pair = tuple[str, ...]  # the name of a row, and of the number of tokens where that is asked for

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Recall:
    """The way of a request past the cache.

    Args:
        desk: Asked for what is not known.
        cache: Rows by their names.
        model: Tells what the upstreams say that they are; None when they do not agree.
    """

    def __init__(self, desk: Desk, cache: ResultCache, model: Callable[[], str | None]) -> None:
        self.counts = cache.counts
        self._desk = desk
        self._cache = cache
        self._model = model
        self._storing: set[asyncio.Task[None]] = set()

    async def ask(self, plan: Plan, timeout_s: float) -> tuple[list[Piece], list[Reply]]:
        """Return the request's pieces, cut in two where some of their inputs are known, and a reply to each.

        Raises:
            QueueFull, QueueUnavailable, DeadlineExceeded: As the desk does.
        """
        model = self._model()
        if model is None or all(piece.kind != "merge" for piece in plan.pieces):
            self.counts.bypasses += 1
            return plan.pieces, await self._desk.ask(plan, timeout_s)
        started_s = asyncio.get_running_loop().time()
        names = [_names(model, plan, piece) for piece in plan.pieces]
        values = iter(await self._cache.look_up([name for each in names for pair in each for name in pair]))
        known: list[tuple[Piece, Reply]] = []
        unknown: list[tuple[Piece, list[_Pair]]] = []
        for piece, own in zip(plan.pieces, names, strict=True):
            found = [_whole([next(values) for _ in pair]) for pair in own]
            if any(each is not None for each in found):
                known.append(_known(piece, found))
            if left := _unknown(piece, own, found):
                unknown.append(left)
        pieces = [piece for piece, _ in unknown]
        replies: list[Reply] = []
        if pieces:
            left_s = timeout_s - (asyncio.get_running_loop().time() - started_s)
            if left_s <= 0:
                raise DeadlineExceeded
            asked = msgspec.structs.replace(plan, pieces=pieces, wants_each=plan.are_counted)  # to keep them one by one
            replies = await self._desk.ask(asked, left_s)
            if self._model() == model:
                self._store([own for _, own in unknown], replies)
        return [*(piece for piece, _ in known), *pieces], [*(reply for _, reply in known), *replies]

    async def close(self) -> None:
        """Let what is being stored be stored."""
        await asyncio.gather(*self._storing)

    def _store(self, names: Sequence[Sequence[_Pair]], replies: Sequence[Reply]) -> None:
        pairs: list[tuple[str, bytes]] = []
        for own, (header, body) in zip(names, replies, strict=True):
            if own and header.status == 200:
                with suppress(UpstreamProtocolError):  # the client is told when its answer is put together
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


def _names(model: str, plan: Plan, piece: Piece) -> list[_Pair]:
    """The names of each input's row and, where it is counted, of its tokens; none for what is not looked up."""
    if piece.kind != "merge":
        return []
    inputs = [piece.body[1:-1]] if piece.n == 1 else map(bytes, _decode_items(piece.body))
    kinds = ((plan.route, piece.options), (COUNT_ROUTE, None)) if plan.are_counted else ((plan.route, piece.options),)
    return [tuple([cache_name(model, route, options, each) for route, options in kinds]) for each in inputs]


def _whole(values: Sequence[bytes | None]) -> tuple[bytes, ...] | None:
    """What was found of one input, when all of it was."""
    found = tuple([value for value in values if value is not None])
    return found if len(found) == len(values) else None


def _known(piece: Piece, found: Sequence[tuple[bytes, ...] | None]) -> tuple[Piece, Reply]:
    """The part of a piece that was found, and its answer."""
    places = piece.places or range(piece.n)
    known = [(place, values) for place, values in zip(places, found, strict=True) if values is not None]
    part = msgspec.structs.replace(piece, n=len(known), body=b"", places=[place for place, _ in known])
    tokens = [int(count) for _, (_, *counts) in known for count in counts]
    return part, (ReplyHeader("", 200, tokens=tokens), b"[%b]" % b",".join([row for _, (row, *_) in known]))


def _unknown(
    piece: Piece, names: Sequence[_Pair], found: Sequence[tuple[bytes, ...] | None]
) -> tuple[Piece, list[_Pair]] | None:
    """The part of a piece that is to be asked for, and its names; None when nothing is left."""
    if None not in found:
        return (piece, []) if not names else None
    if not any(found):
        return piece, list(names)
    places = piece.places or range(piece.n)
    items = _decode_items(piece.body)
    left = [i for i, values in enumerate(found) if values is None]
    body = b"[%b]" % b",".join([items[i] for i in left])
    part = msgspec.structs.replace(piece, n=len(left), body=body, places=[places[i] for i in left])
    return part, [names[i] for i in left]
