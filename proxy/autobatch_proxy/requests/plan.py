"""Decide how the inputs of one request are cut into jobs. Pure.

1. A request that can be one job is one, in the bytes in which it came.
2. Texts are sorted by length and cut where one more call costs less than the padding; `places` says how to go back.
3. What shares no call anyway keeps its order: nothing is gained by sorting it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.lengths import Ruler, runs
from autobatch_proxy.requests.token_ids import TextOfIds
from autobatch_shared.contract.errors import InvalidRequest
from autobatch_shared.contract.options import Options

UNLIMITED = 10**12
BULK_JOBS_PER_BATCH = 4  # jobs that small fit into the room that the others leave in a call

Kind = Literal["merge", "solo", "verbatim"]

#: Makes an answer's body of the array of all rows, of the number of tokens, where it was asked for or is known, and of the
#: request's id.
Shape = Callable[[bytes, int | None, str], bytes]

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Piece(msgspec.Struct, frozen=True):
    """One job to be: but for `places`, the fields mean what they mean in `autobatch_shared.contract.frames.JobHeader`.

    Attributes:
        places: Where its inputs stand in the request, in the job's order; empty for a job that is the whole request.
    """

    n: int
    kind: Kind
    body: bytes
    options: Options | None = None
    content_type: str | None = None
    longest: int = 0
    places: Sequence[int] = ()


class Plan(msgspec.Struct):
    """What one request becomes.

    Attributes:
        pieces: Its jobs, at least one; together they have each of its inputs once.
        is_bulk: Whether they fill what room the others leave.
        route: Where they go at the upstream; empty for a verbatim one: where it came.
        characters: Of its inputs; a token id counts as one. 0 when nobody knows.
        length: Of its inputs, in the unit of the ruler.
        are_counted: Whether the batcher has to say how many tokens the inputs are.
        wants_each: Whether of each of them rather than of all together.
        shape: Makes the answer's body; None: the array of all rows is the body.
        largest_id: The largest token id in it, where it has any.
        alone: Why its jobs share no call with others; None: they may.
    """

    pieces: list[Piece]
    is_bulk: bool
    route: str = "/embed"
    characters: int = 0
    length: int = 0
    are_counted: bool = False
    wants_each: bool = False
    shape: Shape | None = None
    largest_id: int | None = None
    alone: Alone | None = None


class Rules(msgspec.Struct, frozen=True):
    """How this worker cuts all its requests.

    Attributes:
        ruler: Measures the inputs.
        request_inputs_max: Inputs in one request.
        bulk_above_inputs: A request of more inputs is bulk.
        text_of_ids: What token ids on OpenAI's routes stand for, or the refusal of them; None: the upstream takes them as
            its own model's.
    """

    ruler: Ruler
    request_inputs_max: int
    bulk_above_inputs: int
    text_of_ids: TextOfIds | None = None


class Allowed(msgspec.Struct, frozen=True):
    """What the upstreams take at the moment.

    Attributes:
        job_inputs_max: Inputs in one job, at least 1.
        length_max: Beyond it an input costs no more: it is cut off or refused. In the unit of the ruler.
        countable_characters_max: The longest text whose tokens they count for the asking.
        served_model: What they call their model; empty while nobody knows.
        alias: The route that `POST /` stands for.
        request_bytes_max: A longer body may become a call that the upstream does not take.
    """

    job_inputs_max: int
    length_max: int
    countable_characters_max: int = UNLIMITED
    served_model: str = ""
    alias: str = "/embed"
    request_bytes_max: int = UNLIMITED


def plan_list(
    inputs: Sequence[Any],
    raw: bytes,
    kind: Kind,
    options: Options | None,
    rules: Rules,
    allowed: Allowed,
    *,
    asks_bulk: bool,
) -> Plan:
    """Cut a list of inputs into jobs.

    Args:
        inputs: At least one: for `merge` texts, else texts and lists of token ids.
        raw: The same as JSON.
        kind: Of all its jobs.
        options: Of all its jobs.
        rules: Of this worker.
        allowed: By the upstreams.
        asks_bulk: Whether the client asked to be bulk.

    Raises:
        InvalidRequest: More inputs than a request may have.
    """
    count = len(inputs)
    if count > rules.request_inputs_max:
        raise InvalidRequest(f"batch size {count} > maximum allowed batch size {rules.request_inputs_max}")
    is_bulk = asks_bulk or count > rules.bulk_above_inputs
    ruler, job_inputs_max = rules.ruler, allowed.job_inputs_max
    if kind == "merge":
        lengths = ruler.lengths(inputs)
        if is_bulk:
            job_inputs_max = max(1, job_inputs_max // BULK_JOBS_PER_BATCH)
    else:
        lengths = [ruler.length(item) if isinstance(item, str) else len(item) for item in inputs]
    if max(lengths) > allowed.length_max:
        lengths = [min(length, allowed.length_max) for length in lengths]
    longest, total = max(lengths), sum(lengths)
    characters = sum(map(len, inputs))
    # The cheap question first: nearly all lists are short, or their inputs are alike.
    is_alike = count == 1 or kind != "merge" or longest * count - total <= ruler.padding_max
    if is_alike and count <= job_inputs_max:
        pieces = [Piece(count, kind, raw, options, None, longest)]
        return Plan(pieces, is_bulk, characters=characters, length=total)
    if kind == "merge":
        groups = _by_length(lengths, job_inputs_max, ruler.padding_max)
    else:
        groups = _in_order(count, job_inputs_max)
    items = _decode_items(raw)
    pieces = [_piece(places, items, lengths, kind, options) for places in groups]
    return Plan(pieces, is_bulk, characters=characters, length=total)


def _by_length(lengths: Sequence[int], inputs_max: int, padding_max: int) -> list[Sequence[int]]:
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    ascending = [lengths[place] for place in order]
    return [order[start:stop] for start, stop in runs(ascending, inputs_max=inputs_max, padding_max=padding_max)]


def _in_order(count: int, inputs_max: int) -> list[Sequence[int]]:
    return [range(start, min(start + inputs_max, count)) for start in range(0, count, inputs_max)]


def _piece(
    places: Sequence[int], items: Sequence[msgspec.Raw], lengths: Sequence[int], kind: Kind, options: Options | None
) -> Piece:
    body = b"[%b]" % b",".join([items[place] for place in places])
    return Piece(len(places), kind, body, options, None, max([lengths[place] for place in places]), places)
