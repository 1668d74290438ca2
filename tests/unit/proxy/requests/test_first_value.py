"""What TEI reads of a body and what it ignores, compared with a slow reader that follows all rules of serde_json."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autobatch_embedder.bodies.json_text import Fault
from autobatch_proxy.requests.first_value import STEPS_MAX, members, only
from autobatch_shared.contract.errors import InvalidRequest
from tests.unit.serde import Serde

FIELDS = ("inputs", "a")


def check(body: bytes) -> None:
    try:
        expected = Serde(body).raw_members()
    except Fault:
        assert members(FIELDS, body) is None
        check_list(body)
        return
    found = members(FIELDS, body)
    assert found is not None
    assert [(name, value.rstrip(b" \t\r\n")) for name, value in found] == expected
    kept = only(FIELDS, body)
    assert kept is not None
    assert members(FIELDS, kept) == [(name, value) for name, value in found if name in FIELDS]


def check_list(body: bytes) -> None:
    try:
        expected = Serde(body).raw_list()
    except Fault:
        assert only(FIELDS, body) is None
        return
    found = only(FIELDS, body)
    assert found is not None
    assert found.rstrip(b" \t\r\n") == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
ODD = (
    b"", b" ", b"x", b"\0", b"\xff", b"\x1f", b"\x7f", b'"', b"\\", b'"\\ud800"', b'"\\u12g4"', b'"\\x"', b",", b":", b"[", b"]",
    b"{", b"}", b"[]", b"{}", b"-", b"-0", b"01", b"1.", b"1e", b"1E+09", b"1e999", b"NaN", b"nul", b'{"a":', b'"a":1,',
)  # fmt: skip


@settings(max_examples=400)
@given(st.dictionaries(st.text(max_size=2) | st.just("inputs"), VALUES, max_size=4) | st.lists(VALUES), st.data())
def test_a_damaged_value_is_read_as_serde_reads_it(value: object, data: st.DataObject) -> None:
    indent = data.draw(st.sampled_from([None, 1]))
    body = json.dumps(value, indent=indent, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(body)))
        stop = data.draw(st.integers(start, min(start + 3, len(body))))
        body = body[:start] + data.draw(st.sampled_from(ODD)) + body[stop:]
    check(body)


@given(st.binary())
@example(b'{"a":[1,]}')
@example(b'{"a":1,}')
@example(b'{"a":[1}}')
@example(b'{"a":{1:2}}')
@example(b'{"a":[[1] [2]]}')
@example(b'{"a":[[],{}, [ ],{ }, "b"] } }')
@example(b'[{"a":[{"b":[]}]}]]')
def test_any_bytes_are_read_as_serde_reads_them(body: bytes) -> None:
    check(body)


@pytest.mark.parametrize(
    "after", [b" x", b"}", b"]", b"\0", b"\xff", b'"', b"{", b',"inputs":"b"}', b'{"inputs":"b"}', b"\\", b" null"]
)
def test_what_follows_is_ignored(after: bytes) -> None:
    assert only(FIELDS, b' {"inputs":"a"}' + after) == b'{"inputs":"a"}'
    assert only(FIELDS, b'\n["a",null]' + after) == b'\n["a",null]' + after[: after[:1] == b" "]


@pytest.mark.parametrize(
    "value",
    [
        b'"\\ud800"',
        b'{"\\ud800":"\xff"}',
        b"1e999",
        b"9" * 5000,
        b"[" * 3000 + b"]" * 3000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
    ],
)
def test_what_is_skipped_may_be_anything(value: bytes) -> None:
    assert only(FIELDS, b'{"x":%b,"\\u0069nputs":"a"}' % value) == b'{"inputs":"a"}'


@pytest.mark.parametrize("name", [b'"\\ud800"', b'"\xff"', b'"\x01"', b"1", b"inputs"])
def test_a_name_is_never_skipped(name: bytes) -> None:
    assert only(FIELDS, b'{"inputs":"a",%b:1}' % name) is None


def test_a_repeated_member_stays_repeated() -> None:
    assert only(FIELDS, b'{"inputs":1,"x":2,"inputs":3} x') == b'{"inputs":1,"inputs":3}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":' + b"[" * STEPS_MAX,
        b'{"x":' * (STEPS_MAX + 1),
        b"{" + b'"a":1,' * STEPS_MAX,
        b'{"a":[' + b"[[]]," * STEPS_MAX,
    ],
)
def test_its_work_is_bounded(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="more than 50000 members"):
        only(FIELDS, body)


@pytest.mark.parametrize("value", [b"[" * 200 + b"]" * 200, b"[" * 200_000])
def test_a_field_nested_too_deep_is_none_to_tei(value: bytes) -> None:
    assert only(FIELDS, b'{"inputs":%b}' % value) is None
    assert only(FIELDS, value) is None


def test_items_that_hold_no_others_are_no_steps() -> None:
    body = b'{"inputs":[' + b'["a",1],{"b":null},"c",' * STEPS_MAX + b"[]]} x"
    assert only(FIELDS, body) == body[:-2].replace(b" ", b"")
