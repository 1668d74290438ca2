"""How a request travels depends on what it says, never on the values of its strings or on how its JSON is spelt."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autobatch_proxy.requests.alone import Alone
from tests.unit.planning import ALLOWED, plan_of

#: Values that real clients send as a model, a user or anything else.
REAL = (
    "text-embedding-ada-002",
    "Qwen/Qwen3-Embedding-0.6B",
    "gemini-embedding-001",
    "text-embedding-004",
    "voyage-02",
    "6f1c-0e00-4d0b",
    "2026-01-02",
    "José",
    "input",
    '"input":',
    '{"inputs":"a","input":"b"}',
    "\\",
    "-0",
    '"model"',
    "user",
)
STRINGS = st.sampled_from(REAL) | st.text(max_size=8).filter(lambda text: text.isprintable() or text.isspace())
TEXTS = STRINGS.filter(bool)


class RouteFields(NamedTuple):
    inputs: str
    strings: tuple[str, ...]
    others: dict[str, st.SearchStrategy[Any]]


DIRECTIONS = st.sampled_from(["left", "right", "Left", "Right"])
TOKENS = {"truncate": st.none() | st.booleans(), "truncation_direction": DIRECTIONS}
ROUTES = {
    "/embed": RouteFields(
        "inputs", ("prompt_name",), {**TOKENS, "normalize": st.booleans(), "dimensions": st.none() | st.just(10)}
    ),
    "/embed_all": RouteFields("inputs", ("prompt_name",), TOKENS),
    "/embed_sparse": RouteFields("inputs", ("prompt_name",), TOKENS),
    "/predict": RouteFields("inputs", (), {**TOKENS, "raw_scores": st.booleans()}),
    "/v1/embeddings": RouteFields(
        "input",
        ("model", "user"),
        {"encoding_format": st.sampled_from([None, "float", "base64"]), "dimensions": st.none() | st.just(100)},
    ),
}
UNKNOWN = ("x", "input_type", "output-0", "inputs", "input", "model", "-0", "a b", "é", '"')
BLANKS = st.sampled_from(["", "", " ", "\n  ", "\r\n\t", "        "])


@st.composite
def spelt(draw: st.DrawFn, value: Any) -> str:
    """The value in any spelling of JSON: blanks and escapes anywhere, members in any order."""
    blank = draw(BLANKS)
    match value:
        case str():
            how = draw(st.sampled_from(["ascii", "utf8", "escaped"]))
            if how != "escaped":
                return json.dumps(value, ensure_ascii=how == "ascii")
            units = value.encode("utf-16-be")
            return '"' + "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2)) + '"'
        case dict():
            members = [
                f"{blank}{draw(spelt(name))}{blank}:{draw(BLANKS)}{draw(spelt(value[name]))}"
                for name in draw(st.permutations(list(value)))
            ]
            return "{" + ",".join(members) + blank + "}"
        case list():
            return "[" + blank + ",".join([draw(spelt(item)) + blank for item in value]) + "]"
        case _:
            return json.dumps(value)


@st.composite
def requests(draw: st.DrawFn, path: str) -> dict[str, Any]:
    """A request that its route takes, with whatever a client may add to it."""
    route = ROUTES[path]
    said: dict[str, Any] = {route.inputs: draw(TEXTS | st.lists(TEXTS, min_size=1, max_size=2))}
    for name, values in (*route.others.items(), *((name, STRINGS | st.none()) for name in route.strings)):
        if draw(st.booleans()):
            said[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(UNKNOWN), max_size=3)):
        if name not in (route.inputs, *route.strings, *route.others):
            said[name] = draw(STRINGS | st.sampled_from([0, -0.0, 1e9, None, True, [], {"inputs": "-0"}, ["input"]]))
    return said


@pytest.mark.parametrize("path", ROUTES)
@settings(max_examples=150)
@given(st.data())
def test_whatever_a_request_says_it_shares_its_call(path: str, data: st.DataObject) -> None:
    said = data.draw(requests(path))
    body = data.draw(spelt(said)).encode()

    plan = plan_of(path, body)

    assert plan.alone is None
    assert {job.kind for job in plan.jobs} == {"merge"}
    inputs = json.loads(body)[ROUTES[path].inputs]
    assert [json.loads(job.body) for job in plan.jobs] in ([[inputs]], [inputs], [[[inputs]]])


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n  ", " : ")])
@pytest.mark.parametrize("field", ["model", "user", "input_type"])
def test_real_values_share_a_call_in_every_usual_spelling(name: str, separators: tuple[str, str], field: str) -> None:
    for is_ascii in (True, False):
        said = {"input": ["a", "b"], field: name, "encoding_format": "base64", "dimensions": None}
        body = json.dumps(said, separators=separators, ensure_ascii=is_ascii).encode()
        assert plan_of("/v1/embeddings", body).alone is None


@example([0, 1], "a-b")
@given(st.lists(st.integers(0, 2**32 - 1), max_size=3), TEXTS)
def test_a_text_beside_token_ids_is_no_minus_zero(ids: list[int], text: str) -> None:
    body = json.dumps({"inputs": [ids, text]}).encode()
    assert plan_of("/embed", body).alone is Alone.TOKEN_IDS


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/embed", b"{", Alone.NOT_JSON),
        ("/embed", b'{"inputs":"a",} junk', Alone.NOT_JSON),
        ("/embed", b'{"inputs":"a"} junk', None),
        ("/embed", b'{"inputs":"a","x":"\xff"}', None),
        ("/embed", b'{"inputs":"a","x":"\\ud800"}', None),
        ("/embed", b'{"inputs":"a","\xff":1}', Alone.NOT_JSON),
        ("/embed", b'{"inputs":"a","\\ud800":1}', Alone.NOT_JSON),
        ("/embed", b'{"inputs":"a","prompt_name":"\xff"}', Alone.NOT_JSON),
        ("/predict", b'{"inputs":"a"}]', None),
        ("/v1/embeddings", b'{"input":"a","model":"m"} x', None),
        ("/v1/embeddings", b'{"input":"a","user":"\\ud800"}', Alone.NOT_JSON),
        ("/embed", b"{}", Alone.FIELDS),
        ("/embed", b'{"inputs":"a","normalize":null}', Alone.FIELDS),
        ("/embed", b'{"inputs":"a","dimensions":0}', Alone.FIELDS),
        ("/embed", b'{"inputs":"a","dimensions":-0}', Alone.FIELDS),
        ("/embed", b'{"input":"a","inputs":{}}', Alone.INPUTS),
        ("/embed", b'{"inputs":"a","inputs":"a"}', Alone.REPEATED_FIELD),
        ("/embed", b'{"inputs":"a","in\\u0070uts":"a"}', Alone.REPEATED_FIELD),
        ("/embed", b'{"truncate":true,"inputs":"a","truncate":true}', Alone.REPEATED_FIELD),
        ("/embed", b'{"x":1,"inputs":"a","x":2}', None),
        ("/embed", b'{"x":1,"inputs":"a","x":2,"' + b"y" * 40 + b'":2}', None),
        ("/embed", b'{"inputs":null}', Alone.INPUTS),
        ("/embed", b'{"inputs":[]}', Alone.INPUTS),
        ("/embed", b'{"inputs":[1,-0]}', Alone.INPUTS),
        ("/embed", b'{"inputs":["a",[-0]]}', Alone.INPUTS),
        ("/embed", b'{"inputs":""}', Alone.INPUTS),
        ("/embed", b'{"inputs":["a",""]}', Alone.EMPTY_TEXT),
        ("/embed", b'{"inputs":[1,2]}', Alone.TOKEN_IDS),
        ("/predict", b'{"inputs":[["a",""]]}', Alone.EMPTY_TEXT),
        ("/predict", b'{"inputs":[]}', Alone.INPUTS),
        ("/predict", b'{"inputs":"a","raw_scores":1}', Alone.FIELDS),
        ("/v1/embeddings", b'{"input":[1,2]}', Alone.TOKEN_IDS),
        ("/v1/embeddings", b'{"input":"a","encoding_format":"int8"}', Alone.FIELDS),
        ("/v1/embeddings", b'{"input":"a","model":null,"user":null,"dimensions":null,"encoding_format":null}', None),
    ],
)
def test_what_travels_alone_has_its_reason(path: str, body: bytes, reason: Alone | None) -> None:
    assert plan_of(path, body).alone is reason


def test_a_text_too_long_to_be_counted_travels_alone_where_it_is_counted() -> None:
    allowed = type(ALLOWED)(32, 10**9, countable_characters_max=3)
    assert plan_of("/v1/embeddings", b'{"input":"abcd"}', allowed=allowed).alone is Alone.TOO_LONG_TO_COUNT
    assert plan_of("/v1/embeddings", b'{"input":["abcd"]}', allowed=allowed).alone is Alone.TOO_LONG_TO_COUNT
    assert plan_of("/embed", b'{"inputs":"abcd"}', allowed=allowed).alone is None
