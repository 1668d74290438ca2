"""The texts that a server is measured with: the user's own, or built-in ones of mixed lengths. Pure but for reading the file."""

from itertools import count
from math import exp
from pathlib import Path
from random import Random
from statistics import NormalDist

import msgspec

TEXTS = 128  # in a cycle: each cycle has the same lengths, so that two windows of a measurement are alike
SERIAL_DIGITS = 7
LENGTHS_ALIKE = 2.0  # where the longest tenth is not twice as long as the median, lengths are alike
MEDIAN_CHARACTERS, SIGMA, CHARACTERS_MAX = 110, 1.0, 1650  # as in real traffic: most are short, a few very long
PROSE = (
    "the order of what is measured says how long a server takes for each text and for all of them together when many "
    "clients ask at once about invoices weather recipes contracts glaciers patients music trains harvest law and code"
)


class TextsError(ValueError):
    """A file of texts cannot be used; the text says why."""


class SampleTexts:
    """Texts of fixed lengths, in cycles; no two texts that it gives are equal.

    Attributes:
        lengths: Characters of each text of a cycle, ascending.
        about: Where they are from, in words.

    Args:
        texts: At least one.
        about: See above.
    """

    def __init__(self, texts: list[str], about: str) -> None:
        ordered = sorted(texts, key=len)
        step = len(ordered) / TEXTS
        self._texts = [ordered[int((place + 0.5) * step)] for place in range(TEXTS)]
        self._numbers = count(1)
        self.lengths = [len(text) + 1 + SERIAL_DIGITS for text in self._texts]
        self.about = about

    @property
    def kind(self) -> str:
        """What the verdict calls them."""
        return "mixed texts" if self.at(0.9) > LENGTHS_ALIKE * self.at(0.5) else "texts of like length"

    def place(self, share: float) -> int:
        """Return the place of the text that this share of all is shorter than, 0 to 1."""
        return min(TEXTS - 1, int(share * TEXTS))

    def at(self, share: float) -> int:
        """Return the length of the text that this share of all is shorter than."""
        return self.lengths[self.place(share)]

    def text(self, place: int) -> bytes:
        """Return the text of a place as JSON, with a number at its end that makes it a new one: no cache has its vector."""
        return msgspec.json.encode(f"{self._texts[place]} {next(self._numbers):0{SERIAL_DIGITS}}")


def shuffled(seed: int) -> list[int]:
    """Return the places of one cycle in the order of a seed."""
    places = list(range(TEXTS))
    Random(seed).shuffle(places)  # noqa: S311 - traffic, not secrets
    return places


def read_texts(path: Path) -> SampleTexts:
    """Return the texts of a file: one a line, as it is, or as a JSON string where it has ends of lines of its own.

    Raises:
        TextsError: It cannot be read, or has no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        texts = [
            msgspec.json.decode(line, type=str) if line.startswith('"') else line for line in lines if line.strip()
        ]
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as exc:
        raise TextsError(f"{path}: {exc}") from exc
    if not texts:
        raise TextsError(f"{path}: has no text")
    return SampleTexts(texts, f"{len(texts)} texts of {path.name}")


def built_in_texts() -> SampleTexts:
    """Return texts of a log-normal number of characters."""
    spread, texts = NormalDist(), []
    for place in range(TEXTS):
        characters = MEDIAN_CHARACTERS * exp(SIGMA * spread.inv_cdf((place + 0.5) / TEXTS))
        texts.append(_prose(place, min(CHARACTERS_MAX, round(characters))))
    return SampleTexts(texts, "built-in texts of mixed lengths")


def _prose(seed: int, characters: int) -> str:
    words = Random(seed).choices(PROSE.split(), k=characters // 2 + 1)  # noqa: S311 - texts, not secrets
    return " ".join(words)[:characters].rstrip().ljust(characters, "a")
