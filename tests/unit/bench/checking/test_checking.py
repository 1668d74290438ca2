"""A wrong answer is detected: byte for byte with the fakes, as vectors with a real model."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_bench.checking import oracle
from autobatch_bench.checking.checks import (
    SAMPLE_EVERY,
    OracleCheck,
    SampledCheck,
    Vector,
    are_close,
    oracle_vectors,
    vectors_in,
)
from autobatch_bench.load.workloads import WorkloadKind, make, several_short

SHORT, SEVERAL, OPENAI = make(WorkloadKind.SHORT), make(WorkloadKind.SEVERAL), make(WorkloadKind.OPENAI)
GOOD = oracle.answer(["a", "b", "c"])


def openai_answer(texts: list[str]) -> bytes:
    return orjson.dumps({"object": "list", "data": [{"embedding": vector} for vector in oracle_vectors(texts)]})


def test_a_row_is_384_numbers() -> None:
    (row,) = orjson.loads(oracle.answer(["text"]))
    assert len(row) == oracle.DIMENSION


def test_the_oracles_answer_has_its_names() -> None:
    assert oracle.names_in(GOOD, 3) == oracle.names(["a", "b", "c"])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_any_changed_byte_is_seen(place: int, change: int) -> None:
    bad = bytearray(GOOD)
    bad[place] ^= change
    assert oracle.names_in(bytes(bad), 3) != oracle.names(["a", "b", "c"])


@pytest.mark.parametrize("body", [b"", b"[]", b"[[", GOOD[:-1], GOOD + b" ", oracle.answer(["a", "b"])])
def test_an_answer_of_another_form_has_no_names(body: bytes) -> None:
    assert oracle.names_in(body, 3) is None


def test_swapped_answers_are_wrong() -> None:
    check = OracleCheck(SHORT)
    assert check.looks_right(1, oracle.answer(SHORT.texts(2)))
    assert check.looks_right(2, oracle.answer(SHORT.texts(1)))
    assert check.looks_right(3, oracle.answer(SHORT.texts(3)))
    assert check.wrong_after_all() == 2


def test_swapped_rows_within_an_answer_are_wrong() -> None:
    check = OracleCheck(SEVERAL)
    assert check.looks_right(7, oracle.answer(SEVERAL.texts(7)[::-1]))
    assert check.wrong_after_all() == 1


def test_one_of_so_many_answers_is_compared_with_the_upstreams_own() -> None:
    asked: list[list[str]] = []

    def ask(texts: list[str]) -> list[Vector]:
        asked.append(texts)
        return oracle_vectors(texts)

    check = SampledCheck(SHORT, ask)
    for serial in range(3 * SAMPLE_EVERY):
        assert check.looks_right(serial, oracle.answer(SHORT.texts(serial)))

    assert check.wrong_after_all() == 0
    assert asked == [SHORT.texts(serial) for serial in range(0, 3 * SAMPLE_EVERY, SAMPLE_EVERY)]


@pytest.mark.parametrize("body", [oracle.answer(["another"]), b"[]", b"[[0.1]]", b"{}", b"[", b'{"data":[]}', b"[1]"])
def test_a_sampled_answer_that_is_not_ours_is_wrong(body: bytes) -> None:
    check = SampledCheck(SHORT, oracle_vectors)
    assert check.looks_right(0, body)
    assert check.wrong_after_all() == 1


def test_a_few_rows_of_a_long_list_are_compared() -> None:
    """Asking a real model for two thousand texts one by one would take longer than the run."""
    bulk = several_short(100)
    check = SampledCheck(bulk, oracle_vectors)
    check.looks_right(0, oracle.answer(bulk.texts(0)))
    check.looks_right(1, oracle.answer(bulk.texts(1)))
    assert check.wrong_after_all() == 0

    for bad in (bulk.texts(0)[:-1], bulk.texts(0)[::-1], bulk.texts(1)):
        check = SampledCheck(bulk, oracle_vectors)
        check.looks_right(0, oracle.answer(bad))
        assert check.wrong_after_all() == 1


def test_an_answer_in_openais_form_is_checked_by_its_embedding() -> None:
    check = SampledCheck(OPENAI, oracle_vectors)
    check.looks_right(0, openai_answer(OPENAI.texts(0)))
    assert check.wrong_after_all() == 0

    check = SampledCheck(OPENAI, oracle_vectors)
    check.looks_right(0, openai_answer(OPENAI.texts(1)))
    assert check.wrong_after_all() == 1


def test_both_forms_give_vectors() -> None:
    assert vectors_in(b"[[1,2],[3,4]]") == vectors_in(b'{"data":[{"embedding":[1,2]},{"embedding":[3,4]}]}')


def test_vectors_are_close_when_every_component_is() -> None:
    assert are_close([[0.1, 0.2]], [[0.1, 0.20009]])
    assert not are_close([[0.1, 0.2]], [[0.1, 0.2002]])
    assert not are_close([[0.1, 0.2]], [[0.1]])
    assert not are_close([[0.1]], [])
