"""Answers of one request's jobs, put together again."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.calling.calls import part
from autobatch_batcher.dialects.rows import cut_rows
from autobatch_proxy.requests.joining import join_rows
from autobatch_shared.contract.errors import UpstreamProtocolError

# Unusual spellings of numbers: a float that was parsed and printed would show.
ROWS = st.lists(st.integers(0, 999), min_size=1, max_size=3).map(
    lambda numbers: b"[%b]" % b",".join(b"%d.50E-07" % number for number in numbers)
)


@given(st.lists(ROWS, min_size=1, max_size=12), st.randoms(use_true_random=False), st.data())
def test_whatever_the_cut_the_bytes_are_those_of_one_call(
    rows: list[bytes], chance: random.Random, data: st.DataObject
) -> None:
    order = list(range(len(rows)))
    chance.shuffle(order)
    stops = sorted(data.draw(st.sets(st.integers(1, len(rows)))) | {len(rows)})
    groups = [order[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]

    parts = [(places, b"[%b]" % b",".join(rows[place] for place in places)) for places in groups]

    assert join_rows(parts) == b"[%b]" % b",".join(rows)


def test_what_the_batcher_cut_joins_to_the_upstreams_bytes() -> None:
    answer = b"[[1.50,2e-7],[0.10,-3],[4,5]]"

    rows = cut_rows(answer, 3)
    parts = [part(rows, (0, 1)), part(rows, (2,))]

    assert join_rows([(range(2), parts[0]), (range(2, 3), parts[1])]) == answer


def test_blanks_of_the_upstream_do_no_harm() -> None:
    parts = [([1], b"[ [ 1.0,\n2 ] ]"), ([0, 2], b"[[3, 4] ,[5, 6]]\n")]

    assert json.loads(join_rows(parts)) == [[3, 4], [1.0, 2], [5, 6]]


@pytest.mark.parametrize(
    "answer", [b"[]", b"[[1]]", b"[[1],[2],[3]]", b'{"error":"x"}', b"", b"null", b"[[1],[2]", b"\xff"]
)
def test_an_answer_that_is_not_a_row_for_each_input_is_the_upstreams_fault(answer: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        join_rows([([2], b"[[0]]"), ([0, 1], answer)])
