"""What the inputs of a call are padded to, as far as their lengths tell. Pure.

Tokens are padded, and characters are counted: texts of twelve words have 55 to 100 characters, and all about as many tokens. So as much of
what lengths differ by as texts with equally many tokens have is chance. To count it as padding would keep like texts apart, and take an
upstream that pads for one that does not, as the sum of characters tells more of such texts' tokens than the longest of them.
"""

CHANCE = 1.3  # the variance of the lengths of texts with equally many tokens, by their mean length: 0.8 to 2 (English, technical prose)
MIXED_TIMES = 1.25  # padded lengths, by the sum of lengths: with less the two are too alike to tell one from the other


def padded_length(inputs: int, longest: int, useful: int, squares: float) -> float:
    """Return the length that each input is padded to, in characters: from their mean to the longest.

    Args:
        inputs: Number of inputs, at least one.
        longest: Length of the longest.
        useful: Sum of their lengths.
        squares: Sum of the squares of their lengths.
    """
    mean = useful / inputs
    variance = squares / inputs - mean * mean
    real = 1 - CHANCE * mean / variance if variance > CHANCE * mean else 0.0
    return mean + real * (longest - mean)


def are_mixed(inputs: int, longest: int, useful: int, squares: float) -> bool:
    """Whether inputs, given as to `padded_length`, differ in length so much that what their call took tells if it was padded."""
    return inputs * padded_length(inputs, longest, useful, squares) > MIXED_TIMES * useful
