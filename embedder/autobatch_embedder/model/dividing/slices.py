"""How one call becomes several forward passes, each of texts of like length. Pure.

Attention and pooling lay the texts out as a grid as wide as the longest, so one long text among short ones would cost
all of them its length: 32 texts of log-normal lengths (median 20 words) took 20.7 ms of CPU each in one pass, and 7.8
ms in slices. A pass of too few tokens reads all weights for little work.
"""

from collections.abc import Sequence

TOKENS_MAX = 256
"""No slice of several texts has more: larger products are no faster, and what they work on leaves the core's cache
(MiniLM on 2 cores; 512 was as fast on short texts, and slower by a tenth on long ones). Memory grows with them, too: two
texts of 250 tokens need 19 MB, one needs 4."""

TOKENS_MIN = 64
"""A slice with fewer takes texts of any length: at 8 x 10 tokens a pass costs 2.7 ms a text, at 1 x 10 6 ms."""

TOKENS_SHARE_MIN = 32
"""A call is not cut for its workers into less. The threads of one pass wait for each other at each product: eight texts of
17 tokens take two passes of a thread each 11.5 ms and one pass of two threads 15.8, four 6.4 and 7.9. With 16 three such
texts were no faster alone, and slower by 6 % while clients used the cores, too."""

_LIKE = 1.5  # the longest of a slice has at most that many times the tokens of its shortest


def cut(lengths: Sequence[int], workers: int) -> list[list[int]]:
    """Return the places of the texts in each slice, the slice of the longest texts first.

    Args:
        lengths: Tokens of each text, at least one.
        workers: Slices that run at the same time; a call is cut for all of them if each gets enough.
    """
    total = sum(lengths)
    needed = -(-total // TOKENS_MAX)
    for_all = -(-needed // workers) * workers  # three equal slices for two workers would leave one idle in the end
    shares = max(1, needed, min(for_all, total // TOKENS_SHARE_MIN))
    full = -(-total // shares)  # even: the rest of a call would be a small pass
    slices: list[list[int]] = []
    tokens = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        is_alike = bool(slices) and lengths[slices[-1][0]] <= _LIKE * lengths[place]
        has_room = tokens < full and tokens + lengths[place] <= TOKENS_MAX
        if not slices or not has_room or (tokens >= TOKENS_MIN and not is_alike):
            slices.append([])
            tokens = 0
        slices[-1].append(place)
        tokens += lengths[place]
    return slices
