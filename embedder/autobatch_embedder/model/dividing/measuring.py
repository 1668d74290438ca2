"""What the kinds of calls cost with one division of the cores: a short text alone, many short ones, many of mixed lengths."""

from collections.abc import Sequence
from time import perf_counter, process_time

from autobatch_embedder.model.dividing.division import Measurement
from autobatch_embedder.model.dividing.sliced_graph import SlicedGraph
from autobatch_shared.measuring.process_use import threads_waited_s

TOKENS_A_CORE = 256
"""Of a call of many texts: a full pass for each core; what takes longer is seldom left undisturbed."""

SHORT = 12
"""Tokens of a short text."""

MIXED = (8, 11, 15, 19, 23, 28, 35, 44, 56, 78, 160)
"""Tokens of texts of mixed lengths: the middles of eleven equal parts of a log-normal distribution, median 28."""

_SECONDS = 0.15  # of calls of one kind
_LONG_S = 1.0  # one such call is enough
_CALLS_MIN = 2  # the first allocates memory


def measure(graph: SlicedGraph, cores: int, tokens_max: int) -> Measurement:
    """Return the milliseconds of the fastest call of each kind, and how much other programs were in the way.

    Args:
        graph: To measure.
        cores: A call is as large as they need.
        tokens_max: Of one text.

    Raises:
        TeiError: A pass failed.
    """
    tokens = TOKENS_A_CORE * cores
    calls = {"alone": (SHORT,), "short": _repeated((SHORT,), tokens), "mixed": _repeated(MIXED, tokens)}
    waited_s, ran_s = threads_waited_s(), process_time()
    times = {kind: _fastest_ms(graph, [min(n, tokens_max) for n in lengths]) for kind, lengths in calls.items()}
    waited_s, ran_s = threads_waited_s() - waited_s, process_time() - ran_s  # while the graph's threads live
    return Measurement(times, waited_s / ran_s)


def _repeated(lengths: Sequence[int], tokens: int) -> Sequence[int]:
    return (*lengths,) * -(-tokens // sum(lengths))


def _fastest_ms(graph: SlicedGraph, lengths: Sequence[int]) -> float:
    # The lowest ids of every vocabulary: others would bring word vectors into memory that may never be asked for.
    rows = [[0] * length for length in lengths]
    seconds: list[float] = []
    while sum(seconds) < _SECONDS or len(seconds) < _CALLS_MIN:
        started_s = perf_counter()
        graph.pooled(rows)
        seconds.append(perf_counter() - started_s)
        if seconds[-1] > _LONG_S:
            break
    return round(min(seconds) * 1000, 2)
