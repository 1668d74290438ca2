"""Read a body that is plainly what its route takes: inputs and options, and nothing that readers could see in two ways.

Whatever is not plain, down to a repeated key or a stray byte, is for the upstream to judge: `None` here.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from autobatch.decoding import NOT_AS_ASKED
from proxy.pieces import Allowed, Kind, Piece, Plan, Rules, plan_list

_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Inputs = str | Sequence[str | list[int] | int]

_decode_inputs: Callable[[msgspec.Raw], Inputs] = msgspec.json.Decoder(
    str | list[str | list[_TokenId] | _TokenId]
).decode

T = TypeVar("T", bound=msgspec.Struct)


class Grammar(msgspec.Struct, frozen=True):
    """What a route takes.

    Attributes:
        decode: To the struct of its fields; unknown ones are skipped.
        fields: Their names as they stand in a body, quotes included.
        inputs: Name of the field with the inputs, a `msgspec.Raw`.
        only_inputs_bytes: What the shortest body has beside its inputs.
    """

    decode: Callable[[bytes], Any]
    fields: tuple[bytes, ...]
    inputs: str
    only_inputs_bytes: int


def grammar(struct: type[T], inputs: str = "inputs") -> Grammar:
    """Return the grammar of a struct.

    Args:
        struct: A field each; the one with the inputs is a `msgspec.Raw`.
        inputs: Its name.
    """
    fields = tuple(f'"{field.name}"'.encode() for field in msgspec.structs.fields(struct))
    return Grammar(msgspec.json.Decoder(struct).decode, fields, inputs, len(f'{{"{inputs}": }}'))


class Plain(NamedTuple):
    """A body that was read.

    Attributes:
        request: The struct of its grammar.
        raw: The inputs as they stand in the body.
    """

    request: Any
    raw: bytes


def read(body: bytes, rules: Grammar) -> Plain | None:
    """Read a body; None when it is not plainly of this grammar."""
    try:
        request = rules.decode(body)
    except NOT_AS_ASKED:
        return None
    raw = bytes(getattr(request, rules.inputs))
    return None if _is_odd(body, raw, rules) else Plain(request, raw)


def _is_odd(body: bytes, raw_inputs: bytes, rules: Grammar) -> bool:
    """Whether the upstream may see in the body something else than our decoder, which is laxer in some corners.

    It takes the last of repeated keys, which a backslash could spell in another way, it reads `-0` as 0, and it does not
    look into strings that it skips.
    """
    if not body.isascii() and not _is_utf8(body):
        return True
    if len(body) - len(raw_inputs) <= rules.only_inputs_bytes:  # nearly always: no room for another key
        return False
    # Nothing of that can lie partly in the inputs, so what is not in them is counted by subtraction.
    return any(body.count(mark) > raw_inputs.count(mark) for mark in (b"\\", b"-0")) or any(
        body.count(field) - raw_inputs.count(field) > 1 for field in rules.fields
    )


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_inputs(raw: bytes) -> Inputs | None:
    """Return what TEI's `Input` takes: a text, token ids, or a list of both; None for what it may see otherwise.

    That is nothing at all, a mixture with bare ids, and an id that may be `-0`, which our decoder reads as 0.
    """
    try:
        inputs = _decode_inputs(msgspec.Raw(raw))
    except NOT_AS_ASKED:
        return None
    if not inputs or isinstance(inputs, str):
        return inputs or None
    kinds = set(map(type, inputs))
    if (int in kinds and len(kinds) > 1) or (kinds != {str} and b"-" in raw):
        return None
    return inputs


def plan_inputs(
    inputs: Inputs,
    raw: bytes,
    options: str,
    rules: Rules,
    allowed: Allowed,
    *,
    asks_bulk: bool,
    are_counted: bool = False,
) -> Plan:
    """Cut inputs into jobs that the upstreams take, texts of like length together.

    Args:
        inputs: From `read_inputs`.
        raw: The same as JSON.
        options: Of all jobs, as in `autobatch.frames.JobHeader`.
        rules: Of this worker.
        allowed: By the upstreams.
        asks_bulk: Whether the client asked to be bulk.
        are_counted: Whether somebody has to know how many tokens they are.

    Raises:
        InvalidRequest: More inputs than a request may have.
    """
    countable_max = allowed.countable_characters_max if are_counted else None
    if isinstance(inputs, str):
        length = min(rules.ruler.length(inputs), allowed.length_max)
        alone = countable_max is not None and len(inputs) > countable_max
        piece = Piece(1, "solo" if alone else "merge", b"[%b]" % raw, options, None, length)
        return Plan([piece], asks_bulk, characters=len(inputs), length=length)
    if isinstance(inputs[0], int):  # `[1, 2]` is one sequence of token ids, not two inputs
        count = len(inputs)
        return Plan([Piece(1, "solo", b"[%b]" % raw, options, None, count)], asks_bulk, characters=count, length=count)
    # Token ids of a foreign vocabulary can make the upstream fail, and an empty text always does: no neighbours. What is
    # counted alone can be longer than what is counted with others.
    is_usual = set(map(type, inputs)) == {str} and "" not in inputs
    if is_usual and countable_max is not None:
        is_usual = max(map(len, inputs)) <= countable_max  # type: ignore[arg-type]
    kind: Kind = "merge" if is_usual else "solo"
    return plan_list(inputs, raw, kind, options, rules, allowed, asks_bulk=asks_bulk)
