"""Make one request's plan of what it asks for, this worker's rules and what the upstreams take. Pure.

1. A request that can be one job is one, in the bytes that the client sent.
2. Texts are sorted by length and cut where one more call costs less than the padding; `places` says how to go back.
3. What shares no call keeps its order: nothing is gained by sorting it.
4. A list of a route whose requests share no call is cut only where the upstream would refuse it whole, and where
   repeating the rest of the request in each call does not cost more than the list is worth.

More than 250 lines, because inputs, lists and what goes on as it came are three ways into one plan.
"""

from collections.abc import Sequence
from functools import partial
from typing import cast

import msgspec

from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.answer_size import ROUTE as TOKENS_ROUTE
from autobatch_proxy.requests.answer_size import refuse_too_large
from autobatch_proxy.requests.asked import AnswerFacts, AnswerForm, Asked, AskedList, Inputs, ListJoin
from autobatch_proxy.requests.lengths import Ruler, runs
from autobatch_proxy.requests.plan import UNKNOWN, UNLIMITED, Allowed, JobKind, Origin, Plan, PlannedJob, Rules
from autobatch_proxy.requests.token_ids import TextOfIds, as_texts, largest_id_of, refuse_unread
from autobatch_proxy.requests.unread import OPENAI_ROUTES, ROUTES, look_at
from autobatch_shared.contract.errors import InvalidRequest
from autobatch_shared.contract.options import DEFAULTS, Options

BULK_JOBS_PER_BATCH = 4  # jobs that small fit into the room that the others leave in a call
REPEATED_BYTES_MAX = 1_000_000  # half of what a body may have: a query of 15 kB can have 2,048 texts, 64 calls of 32
JSON_TYPE = "application/json"
ALIASES = ("/", "/invocations")  # of the route that suits the model
RANKS_ROUTE = "/rerank"  # it suits a re-ranker

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def make_plan(
    asked: Asked | AskedList | Alone,
    body: bytes,
    content_type: str | None,
    path: str,
    rules: Rules,
    allowed: Allowed,
    *,
    asks_bulk: bool = False,
    form: AnswerForm | None = None,
    origin: Origin = UNKNOWN,
) -> Plan:
    """Return the plan of a request.

    Args:
        asked: What the reader of the request's route made of the body.
        body: The request's body as the client sent it.
        content_type: The request's content type as the client sent it; None where it sent none.
        path: The request's path; a body that is passed on unchanged goes to the same path at the upstream.
        rules: How this worker plans its requests.
        allowed: What the upstreams take at the moment.
        asks_bulk: Whether the client asked for `x-priority: bulk`.
        form: Makes the bodies of the route's answers, where `asked` names no form.
        origin: What names the request in logs and traces.

    Raises:
        InvalidRequest: It has more inputs than a request may have.
        AnswerTooLarge: It asks for more vectors of tokens than an answer may have.
        ForeignTokenIds: It has token ids that are not taken here.
    """
    if isinstance(asked, Asked):
        plan = _plan_inputs(asked, rules, allowed, origin, asks_bulk=asks_bulk, form=form)
        if len(body) <= allowed.request_bytes_max or not asked.is_native or len(plan.jobs) > 1:
            return plan
        alone = Alone.TOO_LARGE
    elif isinstance(asked, AskedList):
        # What an alias stands for may be set at the upstream, which does not tell.
        if asked.pairs is not None and allowed.alias == RANKS_ROUTE and path not in ALIASES and _is_cheap(asked):
            return _plan_inputs(asked.pairs(), rules, allowed, origin, asks_bulk=asks_bulk, form=None)
        listed = _plan_list(asked, path, rules, allowed, origin, asks_bulk=asks_bulk)
        if listed is not None:
            return listed
        alone = Alone.ROUTE
    else:
        alone = asked
    job = PlannedJob(1, "verbatim", body, content_type=content_type)
    largest_id = _unread_id(body, path, rules, allowed)
    return Plan([job], path, asks_bulk, form=form, largest_id=largest_id, alone=alone, origin=origin)


def _unread_id(body: bytes, path: str, rules: Rules, allowed: Allowed) -> int | None:
    """The largest token id in a body that goes on as it came; refuse in it what is refused in others."""
    route = allowed.alias if path in ALIASES else path
    if route not in ROUTES:
        return None
    unread = look_at(body, route)
    _check_count(unread.inputs, rules)
    if route in OPENAI_ROUTES and unread.largest_id is not None and rules.text_of_ids is not None:
        refuse_unread()
    return unread.largest_id


def _plan_inputs(
    asked: Asked, rules: Rules, allowed: Allowed, origin: Origin, *, asks_bulk: bool, form: AnswerForm | None
) -> Plan:
    inputs, raw, ruler, largest_id = asked.inputs, asked.raw, rules.ruler, None
    options = asked.options if asked.input_type is None else _prompted(asked.options, rules.prompt_of(asked.input_type))
    if asked.may_be_openai_ids and not isinstance(inputs, str):
        inputs, raw, largest_id = _own_ids(inputs, raw, rules.text_of_ids)
    countable_max = allowed.countable_characters_max if asked.counts_tokens else UNLIMITED
    alone = asked.alone or _alone(inputs, countable_max)
    if alone is Alone.TOKEN_IDS:
        largest_id = largest_id_of(inputs)
    kind: JobKind = "merge" if alone is None else "solo"
    is_one = isinstance(inputs, str) or isinstance(inputs[0], int)  # `[1, 2]` is one input, not two
    if is_one:
        characters = len(inputs)
        length = ruler.length(inputs) if isinstance(inputs, str) else characters
        count, length = 1, min(length, allowed.length_max)
        jobs = [PlannedJob(1, kind, b"[%b]" % raw, options, None, length)]
        is_bulk = asks_bulk
    else:
        count = len(inputs)
        _check_count(count, rules)
        is_bulk = asks_bulk or count > rules.bulk_above_inputs
        characters = sum(map(len, cast("Sequence[str | list[int]]", inputs)))
        jobs, length = _cut(inputs, raw, kind, options, ruler, allowed, is_bulk=is_bulk)
    if asked.route == TOKENS_ROUTE:
        refuse_too_large(cast("Sequence[str | list[int]]", [inputs] if is_one else inputs), length, rules, allowed)
    is_known = asked.counts_tokens and largest_id is None and ruler.is_exact(characters)
    return Plan(
        jobs,
        asked.route,
        is_bulk,
        characters,
        are_counted=asked.counts_tokens and not is_known,
        form=asked.form or form,
        model=allowed.served_model or asked.model or "",
        tokens=length if is_known else None,
        largest_id=largest_id,
        alone=alone,
        answer_bytes_max=rules.answer_bytes_max if asked.route == TOKENS_ROUTE else UNLIMITED,
        is_in_tokens=ruler.per_token == 1,
        origin=origin,
    )


def _prompted(options: Options | None, prompt: str | None) -> Options | None:
    """Return options with this prompt."""
    return options if prompt is None else msgspec.structs.replace(options or DEFAULTS, prompt_name=prompt)


def _own_ids(inputs: Inputs, raw: bytes, text_of_ids: TextOfIds | None) -> tuple[Inputs, bytes, int | None]:
    """Return inputs without token ids of OpenAI's vocabulary, the same as JSON, and the largest id among them, if any."""
    largest_id = largest_id_of(inputs)
    if largest_id is None or text_of_ids is None:
        return inputs, raw, largest_id
    texts = as_texts(inputs, text_of_ids)
    return texts, _encode(texts), None


def _alone(inputs: Inputs, countable_max: int) -> Alone | None:
    """Why inputs share no call, if they do not.

    Token ids of another vocabulary can make the upstream fail, and an empty text always does: no neighbours. What is
    counted alone can be longer than what is counted with others.
    """
    if isinstance(inputs, str):
        return Alone.TOO_LONG_TO_COUNT if len(inputs) > countable_max else None
    if set(map(type, inputs)) != {str}:
        return Alone.TOKEN_IDS
    if "" in inputs:
        return Alone.EMPTY_TEXT
    if countable_max < UNLIMITED and max(map(len, cast("Sequence[str]", inputs))) > countable_max:
        return Alone.TOO_LONG_TO_COUNT
    return None


def _cut(
    inputs: Sequence[str | list[int] | int],
    raw: bytes,
    kind: JobKind,
    options: Options | None,
    ruler: Ruler,
    allowed: Allowed,
    *,
    is_bulk: bool,
) -> tuple[list[PlannedJob], int]:
    """Cut a list of texts, or of texts and lists of token ids, into jobs; return them and the length of all inputs."""
    count, job_inputs_max = len(inputs), allowed.job_inputs_max
    if kind == "merge":
        lengths = ruler.lengths(cast("Sequence[str]", inputs))
        if is_bulk:
            job_inputs_max = max(1, job_inputs_max // BULK_JOBS_PER_BATCH)
    else:
        lengths = [ruler.length(item) if isinstance(item, str) else len(cast("list[int]", item)) for item in inputs]
    if max(lengths) > allowed.length_max:
        lengths = [min(length, allowed.length_max) for length in lengths]
    longest, total = max(lengths), sum(lengths)
    # The cheap question first: nearly all lists are short, or their inputs are alike.
    is_alike = count == 1 or kind != "merge" or longest * count - total <= ruler.padding_max
    is_small = count <= job_inputs_max and (count == 1 or longest * count <= allowed.job_length_max)
    if is_alike and is_small:
        return [PlannedJob(count, kind, raw, options, None, longest)], total
    if kind == "merge":
        groups = _by_length(lengths, job_inputs_max, ruler.padding_max, allowed.job_length_max)
    else:
        groups = _in_order(count, min(job_inputs_max, max(1, allowed.job_length_max // max(longest, 1))))
    items = _decode_items(raw)
    return [_job(places, items, lengths, kind, options) for places in groups], total


def _by_length(lengths: Sequence[int], inputs_max: int, padding_max: int, budget_max: int) -> list[Sequence[int]]:
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    ascending = [lengths[place] for place in order]
    found = runs(ascending, inputs_max=inputs_max, padding_max=padding_max, budget_max=budget_max)
    return [order[start:stop] for start, stop in found]


def _in_order(count: int, inputs_max: int) -> list[Sequence[int]]:
    return [range(start, min(start + inputs_max, count)) for start in range(0, count, inputs_max)]


def _job(
    places: Sequence[int], items: Sequence[msgspec.Raw], lengths: Sequence[int], kind: JobKind, options: Options | None
) -> PlannedJob:
    body = b"[%b]" % b",".join([items[place] for place in places])
    return PlannedJob(len(places), kind, body, options, None, max([lengths[place] for place in places]), places)


def _is_cheap(asked: AskedList) -> bool:
    """Whether what is asked may be written once for each of its items."""
    return asked.characters is None or asked.characters(asked.count) <= REPEATED_BYTES_MAX


def _plan_list(
    asked: AskedList, path: str, rules: Rules, allowed: Allowed, origin: Origin, *, asks_bulk: bool
) -> Plan | None:
    """Cut a list into several requests of its route; None: it goes on as it came."""
    inputs = asked.beside + asked.count
    _check_count(inputs, rules)
    call_items_max = allowed.job_inputs_max - asked.beside
    is_one = call_items_max < 1 or asked.count <= call_items_max
    if not is_one:
        calls = -(-asked.count // call_items_max)
        is_one = len(asked.write([])) * calls > REPEATED_BYTES_MAX
    if is_one and asked.route is None:
        return None
    groups = _in_order(asked.count, asked.count if is_one else call_items_max)
    items = _decode_items(asked.raw)
    jobs = [
        PlannedJob(
            len(places),
            "verbatim",
            asked.write([items[place] for place in places]),
            content_type=JSON_TYPE,
            places=places,
        )
        for places in groups
    ]
    return Plan(
        jobs,
        asked.route or path,
        asks_bulk or inputs > rules.bulk_above_inputs,
        characters=0 if asked.characters is None else asked.characters(len(jobs)),
        form=_list_form(asked, [job.n for job in jobs]),
        model=allowed.served_model,
        alone=Alone.ROUTE,
        origin=origin,
    )


def _list_form(asked: AskedList, counts: Sequence[int]) -> AnswerForm | None:
    """Return what makes the client's answer of all rows; None: they are it."""
    join, form = asked.join if len(counts) > 1 else None, asked.form
    if join is None:
        return form
    return partial(_joined, join, counts, form)


def _joined(join: ListJoin, counts: Sequence[int], form: AnswerForm | None, rows: bytes, facts: AnswerFacts) -> bytes:
    body = join(counts, rows)
    return body if form is None else form(body, facts)


def _check_count(inputs: int, rules: Rules) -> None:
    if inputs > rules.request_inputs_max:
        raise InvalidRequest(f"batch size {inputs} > maximum allowed batch size {rules.request_inputs_max}")
