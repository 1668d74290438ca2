"""Which inputs share a call: an upstream pads every input of a call to its longest, so like goes with like.

The worker cuts a request of many inputs by this rule. The batcher cuts by it what has come together in a lane, whole jobs
and with what it learnt of the upstream: `batcher/autobatch_batcher/forming/shaping.py`.
"""

from collections.abc import Sequence


def runs(
    lengths: Sequence[int], *, inputs_max: int, padding_max: int, budget_max: int | None = None
) -> list[tuple[int, int]]:
    """Cut ascending lengths into consecutive runs, each as long as it may be, shortest inputs first.

    One pass: padding may not cost more than one more call would. Where lengths are spread evenly, no other cut costs
    less.

    Args:
        lengths: Of the inputs, ascending; tokens or characters.
        inputs_max: Inputs in one run, at least 1.
        padding_max: What a run may be padded by in all: the sum of its longest minus each; unit of `lengths`.
        budget_max: The most that (inputs + 1) * longest of a run may be, unit of `lengths`; one input is always
            allowed. None is no limit.

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
            or (budget_max is not None and (count + 2) * length > budget_max)
        ):
            found.append((start, place))
            start, padding = place, 0
    if lengths:
        found.append((start, len(lengths)))
    return found
