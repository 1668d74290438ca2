"""What the bench sends: equal for equal seeds, never the same text twice, and of the right kind."""

import itertools
import statistics

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_bench.load.workloads import (
    BULK_INPUTS,
    MIXED_WORDS_MAX,
    SEVERAL_INPUTS,
    Workload,
    WorkloadKind,
    make,
    serials,
    several_short,
)

MANY = 4000
SHORT, SEVERAL, OPENAI = make(WorkloadKind.SHORT), make(WorkloadKind.SEVERAL), make(WorkloadKind.OPENAI)
WORKLOADS = [*map(make, WorkloadKind), several_short(2)]


def body(workload: Workload, serial: int) -> dict[str, object]:
    """Return the JSON of a request, after checking its head."""
    head, _, raw = workload.request(serial).partition(b"\r\n\r\n")
    assert head.startswith(f"POST {workload.path} HTTP/1.1\r\n".encode())
    assert f"Content-Length: {len(raw)}".encode() in head.split(b"\r\n")
    parsed: dict[str, object] = orjson.loads(raw)
    return parsed


@pytest.mark.parametrize("kind", list(WorkloadKind))
def test_a_seed_makes_the_same_texts_again_and_another_makes_others(kind: WorkloadKind) -> None:
    first, again, other = make(kind, seed=1), make(kind, seed=1), make(kind, seed=2)
    assert first.request(5) == again.request(5)
    assert first.request(5) != other.request(5)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_no_text_is_sent_twice(workload: Workload) -> None:
    """The stems repeat after several thousand requests; the number does not."""
    texts = [text for serial in range(MANY) for text in workload.texts(serial)]
    assert len(set(texts)) == len(texts) == MANY * workload.inputs


@given(st.integers(0, 9_999_999))
def test_a_request_carries_its_texts(serial: int) -> None:
    assert body(SHORT, serial) == {"inputs": SHORT.texts(serial)[0]}
    assert body(SEVERAL, serial) == {"inputs": SEVERAL.texts(serial)}
    assert body(OPENAI, serial) == {"model": "bench", "input": OPENAI.texts(serial)[0], "encoding_format": "float"}


def test_texts_have_the_promised_number_of_words() -> None:
    def words(workload: Workload) -> list[int]:
        return [len(text.split()) for serial in range(2000) for text in workload.texts(serial)]

    assert set(words(make(WorkloadKind.SHORT))) == {12}
    assert set(words(make(WorkloadKind.FIXED, words=64))) == {64}
    assert make(WorkloadKind.SEVERAL).inputs == SEVERAL_INPUTS
    mixed = sorted(words(make(WorkloadKind.MIXED)))
    assert 17 <= statistics.median(mixed) <= 23
    assert mixed[-1] <= MIXED_WORDS_MAX
    # A log-normal of sigma 1: the 95th of a hundred is exp(1.645) = 5.2 times the median.
    assert 75 <= mixed[int(0.95 * len(mixed))] <= 135


def test_a_bulk_request_fits_into_the_payload_limit() -> None:
    bulk = several_short(BULK_INPUTS)
    assert len(bulk.request(0)) < 2_000_000
    assert len(set(bulk.texts(0))) == BULK_INPUTS


def test_texts_are_repeated_only_when_asked_for() -> None:
    plain = list(itertools.islice(serials(itertools.count(), 0.0), 1000))
    repeating = list(itertools.islice(serials(itertools.count(), 0.3), 1000))
    assert plain == list(range(1000))
    assert 600 <= len(set(repeating)) <= 800
