"""Texts and token ids to the token ids of the model, with TEI's limits and its errors.

A `Tokenizer` is configured only once: its truncation is a setting of the object, and several threads
encode at the same time. So there is a separate object for each kind of truncation, made when it is first needed: each
has 8 MB for MiniLM's 30,522 words, and nearly all requests are cut at the right.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from tokenizers import Tokenizer, normalizers

from autobatch_embedder import errors
from autobatch_embedder.bodies.requests import Direction, Input, TextPair
from autobatch_embedder.errors import ModelFolderError, TeiError
from autobatch_embedder.model.network.packing import SECOND_SEGMENT
from autobatch_embedder.model_files.model_folder import ModelFolder

CHARACTERS_PER_TOKEN_MAX = 250  # TEI's: a longer text is refused or cut before the tokenizer spends time on it


class TextTokenizer:
    """The tokenizer of one model. Safe to use from several threads; encoding releases the GIL."""

    def __init__(self, folder: ModelFolder) -> None:
        """Read the folder's tokenizer.json.

        Raises:
            ModelFolderError: It cannot be read, or has ids that the network does not have.
        """
        self.tokens_max = folder.tokens_max
        self._characters_max = folder.tokens_max * CHARACTERS_PER_TOKEN_MAX
        self._prompts = folder.prompts
        self._has_segments = folder.has_segments
        self._lowercases = folder.lowercases
        self._file = str(folder.path / "tokenizer.json")
        self._made: dict[Direction | None, Tokenizer] = {}
        last = max(self._tokenizer("right").get_vocab(with_added_tokens=True).values(), default=0)
        rows = folder.vocabulary
        if rows is not None and last >= rows:
            # A text with such an id would fail the pass that it shares with the texts of others.
            raise ModelFolderError(f"{self._file}: its ids go up to {last}, but the network has {rows} rows for words")

    def encode(
        self, inputs: Sequence[Input], prompt_name: str | None, direction: Direction, *, truncate: bool
    ) -> list[list[int]]:
        """Return the ids of every input, special tokens included, each up to `tokens_max` long, not padded.

        Ids of a client are decoded to text and encoded again without special tokens, as TEI does; the result may be
        empty.

        Raises:
            TeiError: The error of the first input that cannot be encoded.
        """
        faults = (self._fault(item, prompt_name, truncate=truncate) for item in inputs)
        index, fault = next(((i, fault) for i, fault in enumerate(faults) if fault), (len(inputs), None))
        tokenizer = self._tokenizer(direction if truncate else None)
        try:
            texts = [self._text(item, prompt_name) for item in inputs[:index]]
            rows = _encode(tokenizer, texts, has_segments=self._has_segments)
        except Exception as error:  # tokenizers raises plain Exception
            raise errors.tokenizer_failed(error) from error
        for row in rows:
            if len(row) > self.tokens_max:
                raise errors.too_many_tokens(len(row), self.tokens_max)
        if fault:
            raise fault
        return rows

    def tokenize(
        self, texts: Sequence[str], prompt_name: str | None, *, add_special_tokens: bool
    ) -> list[list[dict[str, Any]]]:
        """Return TEI's tokens of every text: id, text, special, and the byte offsets start and stop.

        Raises:
            TeiError: The error of the first text that cannot be encoded.
        """
        fault = next(filter(None, (self._fault(text, prompt_name, truncate=False) for text in texts)), None)
        if fault:
            raise fault
        prompt = "" if prompt_name is None else (self._prompts or {})[prompt_name]
        prompted = [prompt + text for text in texts]
        try:
            encodings = self._tokenizer(None).encode_batch(prompted, add_special_tokens=add_special_tokens)
        except Exception as error:  # tokenizers raises plain Exception
            raise errors.tokenizer_failed(error) from error
        return [_describe(encoding, text) for encoding, text in zip(encodings, prompted, strict=True)]

    def decode(self, rows: Sequence[list[int]], *, skip_special_tokens: bool) -> list[str]:
        """Return the text of every list of ids. Ids outside the vocabulary are left out.

        Raises:
            TeiError: A list is empty, or cannot be decoded.
        """
        if not all(rows):
            raise errors.empty_ids()
        try:
            return self._tokenizer(None).decode_batch(list(rows), skip_special_tokens=skip_special_tokens)
        except Exception as error:  # tokenizers raises plain Exception
            raise errors.tokenizer_failed(error) from error

    def _tokenizer(self, direction: Direction | None) -> Tokenizer:
        """Return the one that cuts texts at that end; None: one that cuts nothing."""
        found = self._made.get(direction)
        if found is None:
            found = _read(self._file)
            # The file may have both, set for training: MiniLM's truncates at 128 and pads everything to 128.
            found.no_truncation()
            found.no_padding()
            if self._lowercases:
                own = [found.normalizer] if found.normalizer else []
                found.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
            if direction:
                found.enable_truncation(self.tokens_max, direction=direction)
            self._made[direction] = found  # only now: other threads may take it
        return found

    def _fault(self, item: Input, prompt_name: str | None, *, truncate: bool) -> TeiError | None:
        if not (any(item) if isinstance(item, tuple) else item):
            return errors.empty_input()
        if prompt_name is not None and prompt_name not in (self._prompts or {}):
            known = self._prompts
            return errors.no_prompts(prompt_name) if known is None else errors.unknown_prompt(prompt_name, known)
        length = characters(item)
        if length > self._characters_max and not truncate:
            return errors.too_many_characters(length, self._characters_max)
        return None

    def _text(self, item: Input, prompt_name: str | None) -> tuple[str | TextPair, bool]:
        """Return the text or pair to encode, and whether to add special tokens."""
        if isinstance(item, tuple):
            first, second = item
            is_long = characters(item) > self._characters_max
            half = self._characters_max // 2 if is_long else self._characters_max
            return (_shortened(first, half), _shortened(second, half)), True
        prompt = "" if prompt_name is None else (self._prompts or {})[prompt_name]
        if isinstance(item, str):
            return prompt + _shortened(item, self._characters_max), True
        # With a prompt, TEI starts a new sequence; without one, the client's ids include their special tokens.
        has_prompt = prompt_name is not None
        return prompt + self._tokenizer(None).decode(item, skip_special_tokens=has_prompt), has_prompt


def _read(file: str) -> Tokenizer:
    try:
        return Tokenizer.from_file(file)
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelFolderError(f"{file}: not a tokenizer: {error}") from error


def characters(item: Input | tuple[str, ...]) -> int:
    """Characters of a text or of both of a pair; ids count as one each."""
    return sum(map(len, item)) if isinstance(item, tuple) else len(item)


def _encode(
    tokenizer: Tokenizer, texts: Sequence[tuple[str | TextPair, bool]], *, has_segments: bool
) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in texts]
    for special in (True, False):
        places = [place for place, (_, wants_special) in enumerate(texts) if wants_special is special]
        if places:
            encodings = tokenizer.encode_batch_fast([texts[p][0] for p in places], add_special_tokens=special)
            for place, encoding in zip(places, encodings, strict=True):
                rows[place] = encoding.ids
                if has_segments and isinstance(texts[place][0], tuple):
                    both = zip(encoding.ids, encoding.type_ids, strict=True)
                    rows[place] = [id_ + SECOND_SEGMENT * segment for id_, segment in both]
    return rows


def _shortened(text: str, limit: int) -> str:
    """Cut a text of more than `limit` characters at that BYTE; leave it whole if that is inside a character."""
    if len(text) <= limit:
        return text
    data = text.encode()
    is_boundary = data[limit] & 0xC0 != 0x80
    return data[:limit].decode() if is_boundary else text


def _describe(encoding: Any, text: str) -> list[dict[str, Any]]:
    data = text.encode()
    # tokenizers counts characters for Python; TEI counts bytes. byte_at[i]: bytes before character i.
    byte_at: Sequence[int] = range(len(text) + 1)
    if len(data) != len(text):
        byte_at = list(accumulate((len(character.encode()) for character in text), initial=0))
    tokens = []
    for id_, token, (start, stop), special in zip(
        encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask, strict=True
    ):
        if special:
            tokens.append({"id": id_, "text": token, "special": True, "start": None, "stop": None})
        else:
            span = (byte_at[start], byte_at[stop])
            piece = data[slice(*span)].decode(errors="replace")
            tokens.append({"id": id_, "text": piece, "special": False, "start": span[0], "stop": span[1]})
    return tokens
