"""Is every answer the sender's own? Cheap while load runs, thorough after it.

Two ways: the fakes' answers are known byte for byte; a real model's are compared, a few of every run, with the vectors
that the upstream gives when it is asked for each text alone.
"""

import struct
from base64 import b64decode
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Protocol

import orjson

from autobatch_bench.checking import oracle
from autobatch_bench.load.workloads import Workload

DIFFERENCE_MAX = 1e-4  # of a component; other texts in the batch change the sixth digit of a float32 model
SAMPLE_EVERY = 16
SAMPLES_MAX = 12  # compared after each run: each costs a call of its own
ROWS_MAX = 16  # compared of one answer, for the same reason

Vector = Sequence[float]
#: Ask the upstream itself for these texts, one after the other.
Ask = Callable[[list[str]], list[Vector]]


class Check(Protocol):
    """What a run of load asks."""

    def looks_right(self, serial: int, body: bytes) -> bool:
        """Take an answer with status 200; False if it is plainly wrong."""

    def wrong_after_all(self) -> int:
        """Return how many of those that looked right were not. Called once, when the run is over."""


class OracleCheck:
    """Every answer of a fake upstream, byte for byte."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._names: list[tuple[int, bytes]] = []

    def looks_right(self, serial: int, body: bytes) -> bool:
        """Compare what all vectors share; keep what names the texts."""
        names = oracle.names_in(body, self._workload.inputs)
        if names is None:
            return False
        self._names.append((serial, names))
        return True

    def wrong_after_all(self) -> int:
        """Compare the names."""
        return sum(oracle.names(self._workload.texts(serial)) != names for serial, names in self._names)


class SampledCheck:
    """Every so many answers, as vectors.

    The upstream is asked after the run, when nothing else is under way: which texts a run reaches is not known before.
    """

    def __init__(self, workload: Workload, ask: Ask) -> None:
        self._workload = workload
        self._ask = ask
        self._count = 0
        self._kept: list[tuple[int, bytes]] = []

    def looks_right(self, serial: int, body: bytes) -> bool:
        """Keep one of so many answers."""
        if self._count % SAMPLE_EVERY == 0:
            self._kept.append((serial, body))
        self._count += 1
        return body[:1] in (b"[", b"{")

    def wrong_after_all(self) -> int:
        """Ask the upstream for a few of the texts, and compare."""
        step = -(-len(self._kept) // SAMPLES_MAX) or 1
        return sum(not self._is_right(serial, body) for serial, body in islice(self._kept, 0, None, step))

    def _is_right(self, serial: int, body: bytes) -> bool:
        texts = self._workload.texts(serial)
        places = range(0, len(texts), -(-len(texts) // ROWS_MAX))
        expected = self._ask([texts[place] for place in places])
        try:
            found = vectors_in(body)
            return len(found) == len(texts) and are_close([found[place] for place in places], expected)
        except (ValueError, KeyError, TypeError, struct.error):  # whatever it is, it is no vectors
            return False


def vectors_in(body: bytes) -> list[Vector]:
    """Return the vectors of an answer of `/embed`, or of OpenAI's form: `data[i].embedding`, also in base64.

    Raises:
        ValueError: It is no JSON, or no base64.
        KeyError, TypeError: It is neither form.
    """
    answer: Any = orjson.loads(body)
    rows = [each["embedding"] for each in answer["data"]] if isinstance(answer, dict) else list(answer)
    return [_unpacked(each) if isinstance(each, str) else each for each in rows]


def _unpacked(row: str) -> Vector:
    packed = b64decode(row)
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def are_close(found: Sequence[Vector], expected: Sequence[Vector]) -> bool:
    """Whether all components are within `DIFFERENCE_MAX`, and there are equally many of them."""
    return len(found) == len(expected) and all(
        len(a) == len(b) and all(abs(x - y) <= DIFFERENCE_MAX for x, y in zip(a, b, strict=True))
        for a, b in zip(found, expected, strict=True)
    )


def oracle_vectors(texts: list[str]) -> list[Vector]:
    """`Ask` without asking, for the fakes."""
    return [orjson.loads(oracle.row(text)) for text in texts]
