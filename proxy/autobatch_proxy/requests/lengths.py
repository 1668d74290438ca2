"""How long inputs are, and which of them share a call. Pure, once the tokenizer's file is read.

An upstream pads every input of a call to its longest, so inputs of like length go together. The worker cuts a request of
many inputs by this rule; the batcher cuts what has come together in a lane by its own, whole jobs and with what it learnt
of the upstream.
"""

from collections.abc import Callable, Sequence

import msgspec

from autobatch_shared.contract.frames import CHARACTERS_PER_TOKEN
from autobatch_shared.settings.named_files import read_tokenizer

# Padding of a run of inputs in all: about what one more call costs a small model on a CPU.
PADDING_MAX_CHARACTERS = 128
PADDING_MAX_TOKENS = 32

# Of one request. A tokenizer takes 0.25 us a character, and the event loop waits for it: 5 ms at most.
TOKENIZED_CHARACTERS_MAX = 20_000


class Ruler(msgspec.Struct, frozen=True):
    """Measures texts in one unit, tokens or characters.

    Attributes:
        length: Returns the length of one text.
        lengths: Returns the lengths of the texts of one request, in their order.
        padding_max: What a run of inputs may be padded by in all, in its unit.
        per_token: How many of its unit a token is, about; 1 where its unit is tokens.
        is_exact: Whether, for a request of so many characters, lengths are the numbers of its tokens.
        vocabulary: Number of token ids; None where it is unknown.
    """

    length: Callable[[str], int]
    lengths: Callable[[Sequence[str]], list[int]]
    padding_max: int
    per_token: int
    is_exact: Callable[[int], bool] = lambda _characters: False
    vocabulary: int | None = None


def make_ruler(tokenizer_file: str | None) -> Ruler:
    """Return a ruler in tokens, special ones included, or in characters where there is no tokenizer.

    A request of more than TOKENIZED_CHARACTERS_MAX characters is not tokenized but estimated.

    Args:
        tokenizer_file: Path of a `tokenizer.json`.

    Raises:
        SettingsError: The file cannot be read as a tokenizer, or the package `tokenizers` is missing.
    """
    if tokenizer_file is None:
        return Ruler(len, lambda texts: list(map(len, texts)), PADDING_MAX_CHARACTERS, CHARACTERS_PER_TOKEN)
    count, vocabulary = _token_counter(tokenizer_file)

    def length(text: str) -> int:
        return count(text) if len(text) <= TOKENIZED_CHARACTERS_MAX else _estimate(text)

    def lengths(texts: Sequence[str]) -> list[int]:
        is_quick = sum(map(len, texts)) <= TOKENIZED_CHARACTERS_MAX
        return list(map(count if is_quick else _estimate, texts))

    def is_exact(characters: int) -> bool:
        return characters <= TOKENIZED_CHARACTERS_MAX

    return Ruler(length, lengths, PADDING_MAX_TOKENS, 1, is_exact, vocabulary)


def runs(
    lengths: Sequence[int], *, inputs_max: int, padding_max: int, budget_max: int | None = None
) -> list[tuple[int, int]]:
    """Cut ascending lengths into consecutive runs, each as long as it may be, shortest inputs first.

    One pass: padding may not cost more than one more call would. Where lengths are spread evenly, no other cut costs
    less.

    Args:
        lengths: The lengths of the inputs, ascending; tokens or characters.
        inputs_max: The most inputs in one run, at least 1.
        padding_max: What a run may be padded by in all: the sum of its longest minus each; unit of `lengths`.
        budget_max: The most that inputs * longest of a run may be, unit of `lengths`; one input is always allowed. None is no
            limit.

    Returns:
        (start, stop) pairs that cover all places in order, none of them empty.
    """
    found: list[tuple[int, int]] = []
    start = padding = longest = 0
    for place, length in enumerate(lengths):
        count = place - start
        padding += (length - longest) * count
        longest = length
        if count and (
            count >= inputs_max
            or padding > padding_max
            or (budget_max is not None and (count + 1) * length > budget_max)
        ):
            found.append((start, place))
            start, padding = place, 0
    if lengths:
        found.append((start, len(lengths)))
    return found


def _estimate(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN


def _token_counter(path: str) -> tuple[Callable[[str], int], int]:
    tokenizer = read_tokenizer(path)

    def count(text: str) -> int:
        try:
            return len(tokenizer.encode(text))
        except Exception:  # noqa: BLE001 - tokenizers raises plain Exception; a text it has no tokens for is the upstream's to judge
            return _estimate(text)

    return count, tokenizer.get_vocab_size(with_added_tokens=True)
