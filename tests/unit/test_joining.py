"""Answers of one request's jobs, put together again."""

import json

from hypothesis import given
from hypothesis import strategies as st

from proxy.joining import join_arrays

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ARRAYS = st.lists(VALUES, min_size=1, max_size=4)


@given(st.lists(st.tuples(ARRAYS, st.sampled_from([None, 2])), min_size=1, max_size=5))
def test_a_join_holds_all_elements_in_order(arrays: list[tuple[list[object], int | None]]) -> None:
    joined = join_arrays([json.dumps(array, indent=indent).encode() for array, indent in arrays])

    assert json.loads(joined) == [value for array, _ in arrays for value in array]


def test_one_answer_is_not_copied() -> None:
    body = b"[[1, 2]]"

    assert join_arrays([body]) is body
