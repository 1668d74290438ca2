"""What a server is measured with: the user's own texts or built-in ones of mixed lengths, and the calls that are made of them.

Pure but for reading the file.
"""

from itertools import count
from math import exp
from pathlib import Path
from random import Random
from statistics import NormalDist

import msgspec

from autobatch_shared.measuring.text_file import read_texts

TEXTS = 128  # in a cycle: each cycle has the same lengths, so that two windows of a measurement are alike
SERIAL_DIGITS = 7
LENGTHS_ALIKE = 2.0  # where the longest tenth is not twice as long as the median, lengths are alike
MEDIAN_CHARACTERS, SIGMA, CHARACTERS_MAX = 110, 1.0, 1650  # as in real traffic: most are short, a few very long
# Of the calls that are timed alone; shares of the texts that are shorter.
SIZES = (1, 2, 4, 8, 16, 32)
SHORT, USUAL, LONG = 0.1, 0.5, 0.93
SIDE_BY_SIDE_INPUTS = 8
PROSE = (
    "the order of what is measured says how long a server takes for each text and for all of them together when many "
    "clients ask at once about invoices weather recipes contracts glaciers patients music trains harvest law and code"
)


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


def own_texts(path: Path) -> SampleTexts:
    """Return the texts of a file.

    Raises:
        TextsError: It cannot be read, or has no text.
    """
    texts = read_texts(path)
    return SampleTexts(texts, f"{len(texts)} texts of {path.name}")


def built_in_texts() -> SampleTexts:
    """Return texts of a log-normal number of characters."""
    spread, texts = NormalDist(), []
    for place in range(TEXTS):
        characters = MEDIAN_CHARACTERS * exp(SIGMA * spread.inv_cdf((place + 0.5) / TEXTS))
        texts.append(_prose(place, min(CHARACTERS_MAX, round(characters))))
    return SampleTexts(texts, "built-in texts of mixed lengths")


def call_shapes(texts: SampleTexts, inputs_max: int) -> list[tuple[int, ...]]:
    """Return the places of the texts of each call, the cheapest first.

    Equal lengths show what a call and a unit cost; one long text among short ones whether they are padded to it, and if the server
    computes so many of them at once; mixtures are what will be sent.
    """
    short, usual, long = (texts.place(share) for share in (SHORT, USUAL, LONG))
    chance = Random(1)  # noqa: S311 - which texts, no secrets
    shapes = [(usual,) * size for size in SIZES]
    shapes += [(short,) * size for size in (1, 4, 16, 32)]
    shapes += [(long,) * size for size in (1, 2, 4, 8)]
    shapes += [(long, *(short,) * (size - 1)) for size in (4, 8, 16, 32)]
    shapes += [tuple(chance.choices(range(TEXTS), k=size)) for size in (4, 8, 16, 32)]
    own = {shape for shape in shapes if len(shape) <= inputs_max}
    return sorted(own, key=lambda shape: (sum(texts.lengths[place] for place in shape), shape))


def list_shape(texts: SampleTexts, inputs_max: int) -> tuple[int, ...]:
    """Return the places of the texts of the call that is made several times side by side."""
    return (texts.place(USUAL),) * min(SIDE_BY_SIDE_INPUTS, inputs_max)


def _prose(seed: int, characters: int) -> str:
    words = Random(seed).choices(PROSE.split(), k=characters // 2 + 1)  # noqa: S311 - texts, not secrets
    return " ".join(words)[:characters].rstrip().ljust(characters, "a")
