"""Latencies as lines of text: how many answers took how long. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, log

STEP = 1.25  # from one line to the next
LINES_MAX = 24
WIDTH = 40
BLOCKS = " ▏▎▍▌▋▊▉█"


def histogram(latencies_s: Sequence[float]) -> list[str]:
    """Return a line for each span of latencies from the shortest to the longest, each as long as a share of the most."""
    if not latencies_s:
        return []
    ordered_ms = sorted(1000 * each for each in latencies_s)
    least, most = max(ordered_ms[0], 1e-3), max(ordered_ms[-1], 1e-3)
    step = max(STEP, (most / least) ** (1 / LINES_MAX))
    lines = max(1, ceil(log(most / least, step) + 1e-9))
    edges = [least * step**line for line in range(1, lines)]
    counts, begun = [], 0
    for edge in edges:
        end = bisect_right(ordered_ms, edge)
        counts.append(end - begun)
        begun = end
    counts.append(len(ordered_ms) - begun)
    tops = [*edges, most]
    return [f"{top:9.1f} ms {_bar(count / max(counts))} {count}" for top, count in zip(tops, counts, strict=True)]


def _bar(share: float) -> str:
    eighths = round(share * WIDTH * 8)
    return BLOCKS[-1] * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")
