"""What a client asked for: the bodies of /embed and /tokenize as checked values. Pure, and free of model knowledge.

A value of the wrong type is TEI's plain-text 422. What needs the model (lengths, prompts, the size of vectors)
is checked later, in `tokens` and `engine`.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from embedder.errors import BodyError, wrong_shape
from embedder.json_body import describe, parse

Direction = Literal["left", "right"]
Input = str | list[int]
"""One text, or one list of token ids."""

EMBED_KEYS = ("inputs", "truncate", "truncation_direction", "prompt_name", "normalize", "dimensions")
TOKENIZE_KEYS = ("inputs", "add_special_tokens", "prompt_name")

_DIRECTIONS: dict[str, Direction] = {"left": "left", "Left": "left", "right": "right", "Right": "right"}
_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """The body of POST /embed.

    Attributes:
        inputs: In the client's order; one when `is_batch` is false.
        is_batch: The client sent a list.
        truncate: None: as the server is set.
        direction: The end that is cut off when an input is too long.
        prompt_name: Prompt to put before every text.
        normalize: Scale every vector to length 1.
        dimensions: Components to keep, from the first; None: all.
    """

    inputs: tuple[Input, ...]
    is_batch: bool = False
    truncate: bool | None = None
    direction: Direction = "right"
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """The body of POST /tokenize; fields as in EmbedRequest."""

    inputs: tuple[str, ...]
    is_batch: bool = False
    add_special_tokens: bool = True
    prompt_name: str | None = None


def parse_embed(body: bytes) -> EmbedRequest:
    """Read the body of POST /embed.

    Raises:
        BodyError: 400 when it is not JSON, 422 when a field is missing, repeated or of the wrong type.
    """
    fields = _Fields(body, "EmbedRequest", EMBED_KEYS)
    inputs, is_batch = fields.inputs()
    return EmbedRequest(
        inputs=inputs,
        is_batch=is_batch,
        truncate=fields.boolean_or_null("truncate"),
        direction=fields.direction("truncation_direction"),
        prompt_name=fields.text("prompt_name"),
        normalize=fields.boolean("normalize", default=True),
        dimensions=fields.size("dimensions"),
    )


def parse_tokenize(body: bytes) -> TokenizeRequest:
    """Read the body of POST /tokenize.

    Raises:
        BodyError: As `parse_embed`.
    """
    fields = _Fields(body, "TokenizeRequest", TOKENIZE_KEYS)
    inputs, is_batch = fields.texts()
    return TokenizeRequest(
        inputs=inputs,
        is_batch=is_batch,
        add_special_tokens=fields.boolean("add_special_tokens", default=True),
        prompt_name=fields.text("prompt_name"),
    )


class _Fields:
    """Typed access to the fields of one body."""

    def __init__(self, body: bytes, struct: str, keys: tuple[str, ...]) -> None:
        self.values, self._where = parse(body, struct, keys)
        if "inputs" not in self.values:
            raise wrong_shape(f"missing field `inputs`{self._where}")

    def inputs(self) -> tuple[tuple[Input, ...], bool]:
        value = self.values["inputs"]
        # The order matters: an empty list is one empty list of ids, not an empty batch.
        if isinstance(value, str) or _is_ids(value):
            return (value,), False
        if isinstance(value, list) and all(isinstance(item, str) or _is_ids(item) for item in value):
            return tuple(value), True
        raise self._no_variant("Input")

    def texts(self) -> tuple[tuple[str, ...], bool]:
        value = self.values["inputs"]
        if isinstance(value, str):
            return (value,), False
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value), True
        raise self._no_variant("TokenizeInput")

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong_type(key, "a boolean")
        return value

    def boolean_or_null(self, key: str) -> bool | None:
        return None if self.values.get(key) is None else self.boolean(key, default=False)

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong_type(key, "a string")
        return value

    def size(self, key: str) -> int | None:
        value = self.values.get(key)
        if value is None or (type(value) is int and 0 <= value <= _U64_MAX):
            return value
        if type(value) is int:
            raise wrong_shape(f"{key}: invalid value: {describe(value)}, expected usize{self._where}")
        raise self._wrong_type(key, "usize")

    def direction(self, key: str) -> Direction:
        value = self.values.get(key, "right")
        if not isinstance(value, str):
            raise self._wrong_type(key, "string or map")
        if value not in _DIRECTIONS:
            known = ", ".join(f"`{name}`" for name in sorted(_DIRECTIONS))
            raise wrong_shape(f"{key}: unknown variant `{value}`, expected one of {known}{self._where}")
        return _DIRECTIONS[value]

    def _wrong_type(self, key: str, expected: str) -> BodyError:
        return wrong_shape(f"{key}: invalid type: {describe(self.values[key])}, expected {expected}{self._where}")

    def _no_variant(self, enum: str) -> BodyError:
        return wrong_shape(f"inputs: data did not match any variant of untagged enum {enum}{self._where}")


def _is_ids(value: Any) -> TypeGuard[list[int]]:
    # `type`, not `isinstance`: a bool is an int to Python, not to TEI.
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= _U32_MAX for item in value)
