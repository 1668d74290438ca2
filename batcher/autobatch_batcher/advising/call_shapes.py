"""Which calls tell what a server's work costs: their sizes, lengths and mixtures. Pure."""

from random import Random

from autobatch_batcher.advising.sample_texts import TEXTS, SampleTexts

SIZES = (1, 2, 4, 8, 16, 32)
SHORT, USUAL, LONG = 0.1, 0.5, 0.93  # shares of the texts that are shorter
SIDE_BY_SIDE_INPUTS = 8


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
