"""The comparison itself: it must detect every difference, or the other tests prove nothing."""

import base64
import struct

import pytest

from tests.parity.answers.asking import SeenAnswer
from tests.parity.answers.comparing import compare
from tests.parity.answers.differences import faults_of
from tests.parity.answers.joining import joined
from tests.parity.cases.case import Case, post

JSON = (("content-type", "application/json"),)
TIMED = (*JSON, ("x-total-time", "3"), ("x-compute-tokens", "4"))


def answer(body: bytes, headers: tuple[tuple[str, str], ...] = JSON, status: int = 200) -> SeenAnswer:
    return SeenAnswer(status, (*headers, ("content-length", str(len(body)))), body)


def embedding(*values: float) -> bytes:
    return b'{"embedding":"%b"}' % base64.b64encode(struct.pack(f"<{len(values)}f", *values))


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (answer(b"[[0.5,-1.25e-7]]"), answer(b"[[0.500009,-0.000001]]")),
        (answer(embedding(0.5, 1)), answer(embedding(0.500009, 1))),
        (answer(b"[]", TIMED), answer(b"[]", (("x-total-time", "90"), TIMED[2], *JSON))),
        (answer(b"[]"), answer(b"[]", (*JSON, ("x-request-id", "a"), ("server-timing", "b"), ("date", "c")))),
    ],
)
def test_what_is_no_difference_is_let_through(expected: SeenAnswer, got: SeenAnswer) -> None:
    assert compare(expected, got) == []


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        (answer(b"[]"), answer(b"[]", status=201), "status 201, not 200"),
        (answer(b"[[0.5]]"), answer(b"[[0.50002]]"), "floats differ by 2.00e-05"),
        (answer(b"[[0.5]]"), answer(b"[[null]]"), "body "),
        (answer(b"[[0.5]]"), answer(b"[[0.5,0.5]]"), "body "),
        (answer(b"[[1.0]]"), answer(b"[[1]]"), "body "),
        (answer(b"[[0.5]]"), answer(b"[[0.5000000001]]"), "body has a float with more digits"),
        (answer(b"[[1e-7]]"), answer(b"[[1e-07]]"), "body has an exponent"),
        (answer(b'{"a":1,"b":2}'), answer(b'{"b":2,"a":1}'), "body "),
        (answer(b'{"a":1}'), answer(b'{"a": 1}'), "body "),
        (answer(b'{"a":"0.5"}'), answer(b'{"a":"0.6"}'), "body "),
        (answer(b'{"a":"\\u00e9"}'), answer('{"a":"é"}'.encode()), "body "),
        (answer(embedding(0.5)), answer(embedding(0.6)), "floats differ"),
        (answer(embedding(0.5, 1)), answer(embedding(0.5, float("nan"))), "floats differ by inf"),
        (answer(embedding(0.5)), answer(embedding(0.5, 0.5)), "body "),
        (
            answer(b"0.5", (("content-type", "text/plain"),)),
            answer(b"0.500001", (("content-type", "text/plain"),)),
            "body",
        ),
        (answer(b"[]"), answer(b"[]", (("content-type", "application/json; charset=utf-8"),)), "content-type: "),
        (answer(b"[]"), answer(b"[]", (*JSON, ("server", "x"))), "headers: lacks [], has ['server'] besides"),
        (answer(b"[]", TIMED), answer(b"[]"), "headers: lacks ['x-compute-tokens', 'x-total-time']"),
        (answer(b"[]", (*JSON, *JSON)), answer(b"[]"), "headers: lacks"),
        (answer(b"[]", TIMED), answer(b"[]", (*JSON, TIMED[1], ("x-compute-tokens", "5"))), "x-compute-tokens: "),
        (answer(b"[]", TIMED), answer(b"[]", (*JSON, ("x-total-time", "1.5"), TIMED[2])), "x-total-time of the proxy"),
        (answer(b"[]"), SeenAnswer(200, (*JSON, ("content-length", "3")), b"[]"), "content-length"),
    ],
)
def test_every_difference_is_said(expected: SeenAnswer, got: SeenAnswer, said: str) -> None:
    faults = compare(expected, got)

    assert faults
    assert faults[0].startswith(said)


def test_pieces_become_the_answer_of_the_whole() -> None:
    pieces = [answer(b"[[0.1],[1e-7]]", TIMED), answer(b"[[-0.0]]", TIMED)]

    whole = joined(pieces, "lists")

    assert whole.body == b"[[0.1],[1e-7],[-0.0]]"
    assert whole.header("x-compute-tokens") == "8"
    assert whole.header("content-length") == str(len(whole.body))
    assert joined([*pieces, answer(b"no", status=422)], "lists").status == 422


def test_openai_errors_must_have_both_shapes() -> None:
    case = post("", "/v1/embeddings", {})
    flat = b'"message":"m","code":422,"type":"Validation"'
    upstream = answer(b"{%b}" % flat, status=422)
    both = answer(b'{"error":{"message":"m","type":"t","param":null,"code":null},%b}' % flat, status=422)

    assert faults(case, upstream, both) == []
    assert faults(case, upstream, upstream) != []
    assert faults(case, answer(b"m", (("content-type", "text/plain"),), 422), both) == []
    assert faults(case, answer(b"other", (("content-type", "text/plain"),), 422), both) != []


def faults(case: Case, upstream: SeenAnswer, proxy: SeenAnswer) -> list[str]:
    return faults_of(case, upstream, proxy, [], 1e-5)


def test_ranks_of_pieces_are_sorted_as_those_of_one() -> None:
    """By score, and of equal ones the last first; every float as written."""
    bodies = (
        b'[{"index":1,"text":"x","score":0.5},{"index":0,"text":"a","score":1e-7}]',
        b'[{"index":0,"text":"b","score":0.5}]',
    )
    answers = [
        SeenAnswer(200, (("content-type", "application/json"), ("content-length", "0")), body) for body in bodies
    ]

    assert joined(answers, "ranks").body == (
        b'[{"index":2,"text":"b","score":0.5},{"index":1,"text":"x","score":0.5},{"index":0,"text":"a","score":1e-7}]'
    )
