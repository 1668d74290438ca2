"""Bodies that cannot have as few inputs as a request may have, as their bytes say."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.requests.oversize import refuse_too_many
from autobatch_shared.contract.errors import InvalidRequest

MANY = 200_000
TEXT = st.text(st.sampled_from('a"\\[],{}é'), max_size=20)


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":[%b]}' % b",".join([b"[1]"] * MANY),
        b'{"inputs":[%b]}' % b",".join([b'"a"'] * MANY),
        b'{"inputs":[%b]}' % b",".join([b'["a","b"]'] * MANY),
        b'{"ids":[%b]}' % b",".join([b"[]"] * MANY),
        b'{"inputs":[%b]}' % b" , ".join([b"[1]"] * MANY),
    ],
    ids=["lists of ids", "texts", "pairs", "empty lists", "lists and spaces"],
)
def test_a_body_of_far_too_many_inputs_is_refused_undecoded(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^batch size > maximum allowed batch size 2048$"):
        refuse_too_many(body, 2048)


@pytest.mark.parametrize(
    "body", [b"[" * MANY + b"]" * MANY, b'{"a":' * MANY + b"1" + b"}" * MANY], ids=["lists", "objects"]
)
def test_what_is_nested_too_deep_is_for_the_decoder(body: bytes) -> None:
    refuse_too_many(body, 2048)


@pytest.mark.parametrize(
    "inputs",
    ["[1] and [" * MANY, 'a "word" ' * MANY, "\\" * MANY, [1] * MANY, [[1] * 90] * 2048, [["[", '"']] * 2048],
    ids=["brackets", "quotes", "backslashes", "ids of one input", "lists of ids", "pairs"],
)
def test_marks_within_texts_are_no_inputs(inputs: object) -> None:
    refuse_too_many(orjson.dumps({"inputs": inputs}), 2048)


@given(
    st.lists(TEXT, min_size=1)
    | st.lists(st.lists(st.integers(0, 9)))
    | st.lists(st.lists(TEXT, min_size=1, max_size=2))
)
def test_no_body_of_as_many_inputs_as_allowed_is_refused(inputs: list[object]) -> None:
    refuse_too_many(orjson.dumps({"inputs": inputs, "truncate": True}), len(inputs))


def test_quotes_that_open_a_string_without_an_end_are_read_once() -> None:
    """Or 2 MB of them would keep a worker busy for hours."""
    refuse_too_many(b'{"inputs":' + b"[" * MANY + b'"\\' * 1_000_000, MANY // 2)
