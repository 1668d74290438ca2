"""Read a body that every strict reader would read alike: inputs and options, and nothing ambiguous.

Any other body is the upstream's to judge, and `Alone` says why. Our decoder is as strict as the upstream's but for three
things, which are checked here: it takes the last of repeated keys, it reads `-0` as 0, and it does not check that the
strings that it skips are UTF-8. It is stricter in what the upstream does not look at, so a body that it cannot read is
read again without that: what follows the JSON, and members that are no fields.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.asked import Inputs
from autobatch_proxy.requests.first_value import only
from autobatch_shared.contract.errors import NOT_AS_ASKED, InvalidRequest, NotJson

_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]

_decode_inputs: Callable[[msgspec.Raw], Inputs] = msgspec.json.Decoder(
    str | list[str | list[_TokenId] | _TokenId]
).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# To the names of the outermost object, repeated ones included. Numbers are read as their lengths, which have no limit.
_decode_names = json.JSONDecoder(
    object_pairs_hook=lambda members: [name for name, _ in members], parse_int=len, parse_float=len
).decode
_without_strings = re.compile(rb'"(?:[^"\\]|\\.)*+"').sub

T = TypeVar("T", bound=msgspec.Struct)
U = TypeVar("U")


class Grammar(msgspec.Struct, frozen=True):
    """What a route takes.

    Attributes:
        decode: Decodes a body to the struct of its fields; unknown ones are skipped.
        fields: The names of the fields.
        inputs: Name of the field with the inputs, a `msgspec.Raw`.
        only_inputs_bytes: Bytes that the shortest body has beside its inputs.
        repeat_bytes_min: Bytes by which a repeated field makes a body longer, at least.
    """

    decode: Callable[[bytes], Any]
    fields: tuple[str, ...]
    inputs: str
    only_inputs_bytes: int
    repeat_bytes_min: int


def grammar(struct: type[T], inputs: str = "inputs") -> Grammar:
    """Return the grammar of a struct.

    Args:
        struct: Has a member for each field; the one with the inputs is a `msgspec.Raw`.
        inputs: The name of the field with the inputs.
    """
    fields = tuple(field.name for field in msgspec.structs.fields(struct))
    return Grammar(
        msgspec.json.Decoder(struct).decode,
        fields,
        inputs,
        only_inputs_bytes=len(f'{{"{inputs}": }}'),
        repeat_bytes_min=len(',"":0') + min(map(len, fields)),
    )


class StrictBody(NamedTuple):
    """A body that was read strictly.

    Attributes:
        request: The struct of its grammar.
        raw: The inputs as they stand in the body.
        has_room: Whether the body is long enough for another field beside the inputs.
    """

    request: Any
    raw: bytes
    has_room: bool


def read(body: bytes, rules: Grammar) -> StrictBody | Alone:
    """Read a body, or say why it is not strictly of this grammar.

    Raises:
        InvalidRequest: It would take too long to find out.
    """
    strict = _read(body, rules)
    if strict is not Alone.NOT_JSON:
        return strict
    looked_at = only(rules.fields, body)
    return Alone.NOT_JSON if looked_at is None else _read(looked_at, rules)


def _read(body: bytes, rules: Grammar) -> StrictBody | Alone:
    try:
        request = rules.decode(body)
    except msgspec.ValidationError:
        return Alone.FIELDS
    except NOT_AS_ASKED:
        return Alone.NOT_JSON
    if not body.isascii() and not _is_utf8(body):
        return Alone.NOT_JSON
    raw = bytes(getattr(request, rules.inputs))
    has_room = len(body) - len(raw) > rules.only_inputs_bytes
    return Alone.REPEATED_FIELD if has_room and _repeats_a_field(body, rules) else StrictBody(request, raw, has_room)


def _repeats_a_field(body: bytes, rules: Grammar) -> bool:
    """Whether a field of the grammar is there twice, in any spelling.

    Bytes that are neither a member nor its punctuation are spaces, escapes or repetitions: where they are few, as in
    nearly every body, no field is repeated. 1.3 us; reading the names takes 4 us and more.
    """
    members = _decode_members(body)
    spare_bytes = len(body) - 1 - 4 * len(members) - sum([len(name) + len(raw) for name, raw in members.items()])
    if spare_bytes < rules.repeat_bytes_min:
        return False
    try:
        names = _decode_names(body.decode())
    except RecursionError:  # nested too deeply for this reader only
        return True
    return any(names.count(field) > 1 for field in rules.fields)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_inputs(raw: bytes) -> Inputs | None:
    """Return what TEI's `Input` takes: a text, token ids, or a list of both; None for what it may read in another way.

    These are empty inputs, a mixture with bare ids, and an id that is `-0`, which our decoder reads as 0.
    """
    try:
        inputs = _decode_inputs(msgspec.Raw(raw))
    except NOT_AS_ASKED:
        return None
    if not inputs or isinstance(inputs, str):
        return inputs or None
    kinds = set(map(type, inputs))
    if (int in kinds and len(kinds) > 1) or (kinds != {str} and b"-" in _without_strings(b"", raw)):
        return None
    return inputs


def decode_or_refuse(decode: Callable[[bytes], U], body: bytes) -> U:
    """Decode a body of a route that the upstream does not have, so that its errors are worded here.

    Raises:
        NotJson: The body is not JSON, not UTF-8, or nested too deeply.
        InvalidRequest: It has another shape.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise NotJson from exc
