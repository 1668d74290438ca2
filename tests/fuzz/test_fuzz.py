"""Each target for a moment, with random bytes and with damaged seeds. `make fuzz` continues, guided by coverage."""

import contextlib
import gc
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autobatch_proxy.http.headers import is_json
from autobatch_proxy.http.route_table import READERS
from autobatch_shared.contract.errors import InvalidRequest
from tests.fuzz.targets import TARGETS, FuzzTarget
from tests.unit.planning import plan_of

NAMES = pytest.mark.parametrize("name", TARGETS)
QUICK = settings(
    deadline=None,
    max_examples=150,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],  # on a busy machine
)
#: Bytes that parsers of JSON, HTTP and RESP read differently, or not at all.
TOKENS = [
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b'"', b"\\", b",", b":", b"[", b"]",
    b"{", b"}", b"[]", b"{}", b'""', b"-0", b"-1", b"1e999", b"NaN", b"null", b"true", b"18446744073709551616",
    b"9" * 400, b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b'"inputs":"x",', b'"input":"x",', b"\r\n", b"\n", b"*-1\r\n",
    b"*9\r\n", b"$9\r\n", b"*100000\r\n", "\u0301".encode() * 50,
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(start + 8, len(data))))
        data = data[:start] + draw(st.sampled_from(TOKENS) | st.binary(max_size=4)) + data[stop:]
    return data


@NAMES
def test_nothing_that_may_come_breaks_it(name: str) -> None:
    target: FuzzTarget = TARGETS[name]

    @QUICK
    @given(damaged(target.seeds) | st.binary(max_size=60))
    def run(data: bytes) -> None:
        target.check(data)

    for data in (*target.seeds, *TOKENS):
        target.check(data)
    run()


SMALL_BYTES, LARGE_BYTES = 100_000, 1_600_000
GROWTH_MAX = 4 * LARGE_BYTES / SMALL_BYTES  # four times linear: measured on busy machines
FREE_S = 0.5  # lists of one token id each, the most expensive case, take 0.05 s

#: Start, what is repeated, end.
GROWING = {
    "texts": (b'{"inputs":[', b'"a",', b'"a"]}'),
    "input": (b'{"input":[', b'"a",', b'"a"]}'),
    "ids": (b'{"inputs":[', b"1,", b"1]}"),
    "lists of ids": (b'{"inputs":[', b"[1],", b"[1]]}"),
    "pairs": (b'{"inputs":[', b'["a","b"],', b'["a"]]}'),
    "one text": (b'{"inputs":"', b"a", b'"}'),
    "combining": (b'{"inputs":"', "\u0301".encode(), b'"}'),
    "escapes": (b'{"inputs":"', b"\\u0301", b'"}'),
    "surrogates": (b'{"inputs":"', b"\\ud83d\\ude00", b'"}'),
    "keys": (b"{", b'"x":1,', b'"inputs":"a"}'),
    "repeated inputs": (b"{", b'"inputs":"a",', b'"inputs":"a"}'),
    "names in a text": (b'{"inputs":["', b'\\"inputs\\"', b'"]}'),
    "names as texts": (b'{"inputs":[', b'"inputs","truncate",', b'"a"]}'),
    "one long key": (b'{"', b"k", b'":1,"inputs":"a"}'),
    "digits": (b'{"inputs":"a","x":', b"1", b"}"),
    "digits as an option": (b'{"inputs":"a","dimensions":', b"1", b"}"),
    "open lists": (b'{"inputs":', b"[", b""),
    "open objects": (b"", b'{"inputs":', b""),
    "blanks": (b'{"inputs":"a"', b" ", b"}"),
    "nothing but blanks": (b"", b"\n", b""),
    "texts, and more": (b'{"inputs":[', b'"a",', b'"a"]} x'),
    "lists of ids, and more": (b'{"inputs":[', b"[1],", b"[1]]} x"),
    "one text, and more": (b'{"inputs":"', b"a", b'"} x'),
    "keys, and more": (b"{", b'"x":1,', b'"inputs":"a"} x'),
    "lists in lists, and more": (b'{"inputs":"a","x":[', b"[[1]],", b"1]} x"),
    "open lists in a list": (b'{"x":[', b'["",', b""),
    "a text without an end": (b'{"x":"\xff","inputs":"', b'\\"', b""),
    "a list without an end": (b'{"x":"\xff","inputs":[', b'"",', b""),
    "queries": (b"[", b'{"query":"a"},', b'{"query":"a"}]'),
    "vectors": (b'{"texts":[', b'"",', b'"a"]}'),
}  # fmt: skip


@pytest.mark.parametrize("path", READERS)
@pytest.mark.parametrize("shape", GROWING)
def test_reading_a_body_is_no_slower_than_linear(path: str, shape: str) -> None:
    start, unit, stop = GROWING[shape]

    def plan(size: int) -> None:
        body = start + unit * (size // len(unit)) + stop
        with contextlib.suppress(InvalidRequest):
            plan_of(path, body)

    small_s, large_s = quickest_s(lambda: plan(SMALL_BYTES)), quickest_s(lambda: plan(LARGE_BYTES))

    assert large_s < max(FREE_S, small_s * GROWTH_MAX)


@pytest.mark.parametrize("unit", ["; a=b", ";", "; ", '; a="', "+json", "a+", ";a=a;", '; a="b"', "\t"])
def test_reading_a_content_type_is_no_slower_than_linear(unit: str) -> None:
    """8 kB is the longest that a worker reads; 80 kB stands for a larger limit."""
    assert quickest_s(lambda: is_json("application/json" + unit * (80_000 // len(unit)) + "\0")) < FREE_S


def quickest_s(run: Callable[[], object]) -> float:
    """CPU seconds of the quickest of three, without the garbage collector: it would visit other tests' objects."""
    spent = []
    gc.disable()
    for _ in range(3):
        started = time.process_time()
        run()
        spent.append(time.process_time() - started)
    gc.enable()
    return min(spent)
