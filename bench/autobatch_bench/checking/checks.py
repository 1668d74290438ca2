"""Is every answer the sender's own? Cheap while load runs, thorough after it.

There are two checks: a fake's answers are known byte for byte; of a real model's answers, a few of every run are
compared with the vectors that the upstream returns for each text alone.
"""

import struct
from base64 import b64decode
from collections.abc import Callable, Sequence
from itertools import islice
from json import JSONDecoder
from typing import Any, Protocol

import orjson

from autobatch_bench.checking import oracle
from autobatch_bench.load.workloads import Workload

DIFFERENCE_MAX = 1e-4  # of a component; with a float32 model, other texts in the batch change the sixth digit
SAMPLE_EVERY = 16
SAMPLES_MAX = 12  # texts compared after each run: each costs a call of its own
_KSERVE = b'{"model_name":'  # how answers of KServe v2 begin
ROWS_MAX = 16  # texts compared of one answer, for the same reason

Vector = Sequence[float]
#: Asks the upstream itself for these texts, one at a time.
Ask = Callable[[list[str]], list[Vector]]


class Check(Protocol):
    """The interface that a run of load uses."""

    def looks_right(self, serial: int, body: bytes) -> bool:
        """Take an answer with status 200; return False if it is obviously wrong."""

    def wrong_after_all(self) -> int:
        """Return how many of the answers that looked right were wrong. Called once, after the run."""


class OracleCheck:
    """Checks every answer of a fake upstream, byte for byte."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._names: list[tuple[int, bytes]] = []

    def looks_right(self, serial: int, body: bytes) -> bool:
        """Compare the part that all vectors share; keep the part that names the texts."""
        names = oracle.names_in(body, self._workload.inputs)
        if names is None:
            return False
        self._names.append((serial, names))
        return True

    def wrong_after_all(self) -> int:
        """Compare the names of the texts."""
        return sum(oracle.names(self._workload.texts(serial)) != names for serial, names in self._names)


class SampledCheck:
    """Checks a sample of the answers, as vectors.

    The upstream is asked after the run, when no other request is in flight: which texts a run reaches is not known
    before.
    """

    def __init__(self, workload: Workload, ask: Ask, difference_max: float = DIFFERENCE_MAX) -> None:
        self._workload = workload
        self._ask = ask
        self._difference_max = difference_max
        self._count = 0
        self._kept: list[tuple[int, bytes]] = []

    def looks_right(self, serial: int, body: bytes) -> bool:
        """Keep one answer in every so many."""
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
            return len(found) == len(texts) and are_close(
                [found[place] for place in places], expected, self._difference_max
            )
        except (ValueError, KeyError, TypeError, struct.error):  # whatever it is, it is not a list of vectors
            return False


def vectors_in(body: bytes) -> list[Vector]:
    """Return the vectors of an answer of `/embed`, of OpenAI's form (`data[i].embedding`, also in base64), or of KServe v2.

    Raises:
        ValueError: It is not JSON, or not base64.
        KeyError, TypeError: It has neither form.
    """
    if body.startswith(_KSERVE):
        return _after_json(body)
    answer: Any = orjson.loads(body)
    rows = [each["embedding"] for each in answer["data"]] if isinstance(answer, dict) else list(answer)
    return [_unpacked(each) if isinstance(each, str) else each for each in rows]


def _unpacked(row: str) -> Vector:
    return _floats(b64decode(row))


def _floats(packed: bytes) -> Vector:
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def _after_json(body: bytes) -> list[Vector]:
    """The rows of KServe v2: JSON that describes one output, and behind it the output's numbers."""
    said, end = JSONDecoder().raw_decode(body.decode("latin-1"))
    (output,) = said["outputs"]
    rows, length = output["shape"]
    return [_floats(body[start : start + 4 * length]) for start in range(end, end + 4 * rows * length, 4 * length)]


def are_close(found: Sequence[Vector], expected: Sequence[Vector], difference_max: float = DIFFERENCE_MAX) -> bool:
    """Return whether the vectors have the same length, and all components differ by at most `difference_max`."""
    return len(found) == len(expected) and all(
        len(a) == len(b) and all(abs(x - y) <= difference_max for x, y in zip(a, b, strict=True))
        for a, b in zip(found, expected, strict=True)
    )


def oracle_vectors(texts: list[str]) -> list[Vector]:
    """An `Ask` for the fakes: it computes the vectors and sends no request."""
    return [orjson.loads(oracle.row(text)) for text in texts]
