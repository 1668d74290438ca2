"""TEI's headers of what a request cost: the upstream's own, or ours, and never another program's line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.http.headers import measure_lines
from autobatch_shared.contract.call_headers import MEASURES, shared
from autobatch_shared.contract.frames import ReplyHeader, decode_reply, encode

ALL = {name: str(number) for number, name in enumerate(MEASURES)}


def lines(measures: dict[str, str], tokens: list[int] | None = None, characters: int = 0) -> list[str]:
    header = ReplyHeader("w.1", 200, tokens=tokens or [], measures=measures)
    return measure_lines(header, characters, 12).decode().split("\r\n")[:-1]


def test_a_call_of_its_own_is_told_as_the_upstream_did() -> None:
    assert lines(ALL, [9], 5) == [f"{name}: {value}" for name, value in ALL.items()]


def test_of_a_shared_call_the_requests_own_are_told() -> None:
    assert lines(shared(ALL), [2, 3], 5) == [
        "x-compute-type: 0",
        "X-Compute-Characters: 5",
        "X-Compute-Time: 12",
        "X-Total-Time: 12",
        "X-Compute-Tokens: 5",
    ]


def test_tokens_that_nobody_counted_are_not_told() -> None:
    assert not [line for line in lines({}, None, 5) if "Tokens" in line]


def test_of_a_request_that_was_not_taken_apart_nothing_is_known() -> None:
    assert lines({}) == []


def test_shared_are_only_those_that_are_true_for_each() -> None:
    assert shared(ALL) == {"x-compute-type": "0"}
    assert shared({}) == {}


@given(st.dictionaries(st.sampled_from(MEASURES) | st.text(max_size=5), st.text(max_size=80), max_size=4))
def test_no_value_can_be_a_second_header(measures: dict[str, str]) -> None:
    """It came through Redis, and from an upstream."""
    for line in measure_lines(ReplyHeader("w.1", 200, measures=measures), 0, 1).split(b"\r\n")[:-1]:
        assert re.fullmatch(rb"(?:%b): [\x20-\x7e]{0,63}" % "|".join(MEASURES).encode(), line)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\rb", "é", "a\x00", "1" * 64])
def test_an_odd_value_is_left_out(value: str) -> None:
    assert lines({"x-compute-type": value}) == []
    assert lines({"Set-Cookie": "x"}) == []


def test_measures_and_tokens_survive_their_travel() -> None:
    header = ReplyHeader("w.1", 200, tokens=[1, 2], measures=ALL)
    assert decode_reply(encode(header, b"[[1]]")) == (header, b"[[1]]")
