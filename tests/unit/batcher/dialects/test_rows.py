"""Answers cut apart: the right rows, or one error."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autobatch_batcher.dialects.rows import cut_rows
from autobatch_shared.contract.errors import UpstreamProtocolError

NUMBERS = st.sampled_from(["0", "-0.0", "1", "0.1", "1e-7", "-1E+5", "123456789.125", "null"]) | st.floats(
    allow_nan=False, allow_infinity=False, width=32
).map(repr)
BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n    "])
COUNTS = st.integers(1, 12)


def render(items: list[str], draw: st.DrawFn) -> str:
    """A JSON array of the texts, with blanks wherever JSON allows them."""
    if not items:
        return f"[{draw(BLANKS)}]"
    return "[" + ",".join(f"{draw(BLANKS)}{item}{draw(BLANKS)}" for item in items) + "]"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """An upstream's good answer, and its rows as they stand in it."""
    count = draw(COUNTS)
    dimension = draw(st.integers(1, 4))
    rows = [render(draw(st.lists(NUMBERS, min_size=dimension, max_size=dimension)), draw) for _ in range(count)]
    return f"{draw(BLANKS)}{render(rows, draw)}{draw(BLANKS)}".encode(), rows


@given(answers())
def test_rows_are_as_the_upstream_wrote_them(answer: tuple[bytes, list[str]]) -> None:
    text, rows = answer

    found = cut_rows(text, len(rows))

    assert [row.encode() for row in rows] == found
    assert [json.loads(row) for row in found] == json.loads(text)


def is_refused(answer: bytes, count: int) -> bool:
    """Whether `cut` raises the one error that stands for it; any other error is the test's failure."""
    try:
        cut_rows(answer, count)
    except UpstreamProtocolError:
        return True
    return False


@settings(max_examples=50)
@given(answers())
def test_an_answer_cut_off_anywhere_is_refused(answer: tuple[bytes, list[str]]) -> None:
    text, rows = answer
    whole = len(text.rstrip())

    assert [end for end in range(whole) if not is_refused(text[:end], len(rows))] == []


@given(answers(), COUNTS)
def test_another_number_of_rows_is_refused(answer: tuple[bytes, list[str]], other: int) -> None:
    text, rows = answer

    assert is_refused(text, other) == (other != len(rows))


def is_good(answer: bytes, rows: int) -> bool:
    """Whether the standard library finds rows of numbers in it."""

    def refuse(text: str) -> object:
        raise ValueError(text)

    try:
        value: Any = json.loads(answer.decode(), parse_constant=refuse)
    except ValueError:
        return False
    if type(value) is not list or len(value) != rows or not all(type(row) is list and row for row in value):
        return False
    lengths = {len(row) for row in value}
    return len(lengths) <= 1 and all(item is None or type(item) in (int, float) for row in value for item in row)


@st.composite
def damaged_answers(draw: st.DrawFn) -> tuple[bytes, int]:
    """A good answer with some bytes taken out, and others put in their place."""
    text, rows = draw(answers())
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(start + 3, len(text))))
    stray = st.sampled_from([b"", b",", b"[", b"]", b"],[", b"[]", b"{}", b'"', b'"a"', b"1", b"-", b".", b" ", b"e"])
    return text[:start] + draw(stray | st.binary(max_size=2)) + text[end:], len(rows)


@settings(max_examples=200)
@given(damaged_answers() | st.tuples(st.binary(max_size=20), st.integers(1, 2)))
@example((b"[[1],[2]]", 2))
def test_nothing_is_cut_that_is_not_rows_of_numbers(answer: tuple[bytes, int]) -> None:
    text, rows = answer

    assert is_refused(text, rows) == (not is_good(text, rows))


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (b"", 1),
        (b" ", 1),
        (b"null", 1),
        (b"true", 1),
        (b"1", 1),
        (b'"[[1]]"', 1),
        (b"{}", 1),
        (b'{"error":"x","error_type":"Backend"}', 1),
        (b"<html><body>502 Bad Gateway</body></html>", 1),
        (b"[]", 1),
        (b"[ ]", 1),
        (b"[[]]", 1),
        (b"[[ ]]", 1),
        (b"[[],[]]", 2),
        (b"[null]", 1),
        (b"[null,null]", 2),
        (b"[1]", 1),
        (b"[1,2]", 2),
        (b"[{}]", 1),
        (b'[{"index":0,"value":1}]', 1),
        (b'["[1]"]', 1),
        (b"[true]", 1),
        (b"[[1],null]", 2),
        (b"[[1],[]]", 2),
        (b"[[1],[2,3]]", 2),
        (b"[[1,2],[3]]", 2),
        (b"[[[1]]]", 1),
        (b"[[[1],[2]]]", 1),
        (b"[[[1],[2]],[[3],[4]]]", 2),
        (b"[[1,[2]]]", 1),
        (b"[[1,{}]]", 1),
        (b'[["1"]]', 1),
        (b'[[1,"],["]]', 1),
        (b"[[true]]", 1),
        (b"[[false]]", 1),
        (b"[[NaN]]", 1),
        (b"[[Infinity]]", 1),
        (b"[[1,]]", 1),
        (b"[[,1]]", 1),
        (b"[[1 2]]", 1),
        (b"[[1],]", 1),
        (b"[[1]", 1),
        (b"[[1]]]", 1),
        (b"[[1]][[2]]", 1),
        (b"[[1]]\x00", 1),
        (b"\xef\xbb\xbf[[1]]", 1),
        ("[[1]]".encode("utf-16"), 1),
        (b"[[\xff]]", 1),
        (b"[[01]]", 1),
        (b"[[1.]]", 1),
        (b"[[.1]]", 1),
        (b"[[+1]]", 1),
        (b"[[0x1]]", 1),
        (b"[[1e]]", 1),
        (b"[" * 100_000, 1),
        (b"[" * 100_000 + b"]" * 100_000, 1),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else str(value),
)
def test_what_is_no_answer_is_refused(answer: bytes, count: int) -> None:
    assert is_refused(answer, count)


def test_a_vector_that_is_no_number_is_passed_on() -> None:
    """TEI writes NaN as null."""
    assert cut_rows(b"[[null,null],[1,2]]", 2) == [b"[null,null]", b"[1,2]"]


def test_the_error_names_a_byte_order_mark() -> None:
    """It is not seen where the answer is printed, and what stands behind it is right."""
    with pytest.raises(UpstreamProtocolError, match="begins with a byte order mark"):
        cut_rows(b"\xef\xbb\xbf[[1,2]]", 1)


def test_the_error_tells_how_many_rows_there_were() -> None:
    with pytest.raises(UpstreamProtocolError, match="answered 1 rows to 3 inputs"):
        cut_rows(b"[[1]]", 3)


# The other routes' rows.

SPARSE = b'[[{"index":3,"value":0.50},{"index":9,"value":1e-7}],[]]'
SCORES = b'[[{"score":0.90,"label":"a\\"],["},{"score":null,"label":"b"}],[{"score":1,"label":""}]]'
TOKENS = b"[[[1.50,2],[3,null]],[ [4,5] ]]"
ODD = [
    b"",
    b"null",
    b"{}",
    b'{"error":"x","error_type":"Backend"}',
    b"[]",
    b"[1]",
    b"[[1]]",
    b'["a"]',
    b"[null]",
    b"[[null]]",
    b"[[[[1]]]]",
    b"[[[]]]",
    b"[[[1],[1,2]]]",
    b'[[["1"]]]',
    b"[[[true]]]",
    b"[[{}]]",
    b"[[[1]]",
    b"[[[1]]]x",
    b"[[[1],{}]]",
    b"\xff",
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'[[{"index":1}]]',
    b'[[{"index":1.5,"value":1}]]',
    b'[[{"index":"1","value":1}]]',
    b'[[{"index":1,"value":"1"}]]',
    b'[{"index":1,"value":1}]',
    b'[[{"score":1}]]',
    b'[[{"label":"a"}]]',
    b'[[{"score":"1","label":"a"}]]',
    b'[[{"score":1,"label":1}]]',
    b'[{"score":1,"label":"a"}]',
]


@pytest.mark.parametrize(("route", "answer"), [("/embed_sparse", SPARSE), ("/predict", SCORES), ("/embed_all", TOKENS)])
def test_rows_of_other_routes_are_as_the_upstream_wrote_them(route: str, answer: bytes) -> None:
    found = cut_rows(answer, 2, route)

    assert [json.loads(row) for row in found] == json.loads(answer)
    assert all(row in answer for row in found)


@pytest.mark.parametrize("route", ["/embed_sparse", "/predict", "/embed_all"])
@pytest.mark.parametrize("answer", ODD, ids=lambda value: repr(value[:40]))
def test_what_is_no_answer_of_another_route_is_refused(route: str, answer: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        cut_rows(answer, 1, route)


@pytest.mark.parametrize(
    ("route", "answer"),
    [
        ("/embed", b'[[{"index":1,"value":1}]]'),
        ("/embed", b"[[[1,2]]]"),
        ("/embed_all", b"[[1,2]]"),
        ("/embed_all", b"[[]]"),
        ("/embed_sparse", b'[[{"score":1,"label":"a"}]]'),
        ("/predict", b'[[{"index":1,"value":1}]]'),
        ("/predict", b"[[]]"),
    ],
)
def test_one_routes_answer_is_not_anothers(route: str, answer: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        cut_rows(answer, 1, route)


def test_a_text_of_which_nothing_is_left_is_an_empty_sparse_row() -> None:
    assert cut_rows(b"[[]]", 1, "/embed_sparse") == [b"[]"]


def test_ids_that_are_no_tokens_have_no_vector_and_texts_have_one() -> None:
    """TEI answers so where ids are none of the vocabulary's."""
    answer = b"[[],[[1,2]],[]]"

    assert cut_rows(answer, 3, "/embed_all", {0, 2}) == [b"[]", b"[[1,2]]", b"[]"]
    assert cut_rows(b"[[ ]]", 1, "/embed_all", {0}) == [b"[ ]"]
    for text in (0, 2):
        with pytest.raises(UpstreamProtocolError, match="empty row"):
            cut_rows(answer, 3, "/embed_all", {0, 2} - {text})
    with pytest.raises(UpstreamProtocolError, match="empty row"):
        cut_rows(b"[[[]]]", 1, "/embed_all", {0})


@pytest.mark.parametrize("answer", [b"[[[1,2]],[[3]]]", b"[[[1,2],[3,4]],[[5,6,7]]]"])
def test_all_token_vectors_are_of_one_length(answer: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="different lengths"):
        cut_rows(answer, 2, "/embed_all")


NUMBER_ROWS = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=1, max_size=3)


@given(st.lists(NUMBER_ROWS, min_size=1, max_size=4), st.integers(0, 80), st.binary(max_size=2))
def test_nothing_is_cut_that_is_not_rows_of_token_vectors(rows: list[Any], start: int, stray: bytes) -> None:
    good = json.dumps(rows).replace('"', "").encode()
    assert [json.loads(row) for row in cut_rows(good, len(rows), "/embed_all")] == json.loads(good)

    damaged = good[:start] + stray + good[start + 1 :]
    try:
        found = cut_rows(damaged, len(rows), "/embed_all")
    except UpstreamProtocolError:
        return
    assert [is_good(row, len(json.loads(row))) for row in found] == [True] * len(rows)


@pytest.mark.parametrize(
    ("route", "row"),
    [("/predict", b'[{"score":1,"label":"a","x":"\xff"}]'), ("/embed_sparse", b'[{"index":1,"value":1,"\xff":1}]')],
)
def test_bytes_that_are_no_utf8_are_refused_in_what_nobody_reads_too(route: str, row: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="UTF-8"):
        cut_rows(b"[" + row + b"]", 1, route)
