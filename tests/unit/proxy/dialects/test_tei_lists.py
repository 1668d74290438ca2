"""What lists become where requests share no call: as they came, or calls that the upstream takes and one answer of theirs."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.joining import join_rows
from autobatch_proxy.requests.plan import Allowed, Plan, PlannedJob, Rules
from autobatch_proxy.requests.planner import REPEATED_BYTES_MAX
from autobatch_shared.contract.errors import InvalidRequest, UpstreamProtocolError
from tests.unit.planning import ALLOWED, JSON, RULES, body_of, plan_of

PATHS = ("/tokenize", "/decode", "/rerank", "/similarity")
LIMIT = 4
TEXTS = [f"text {number}" for number in range(9)]
LONG: dict[str, Any] = {
    "/tokenize": {"inputs": TEXTS},
    "/decode": {"ids": [[number] for number in range(9)]},
    "/rerank": {"query": "q", "texts": TEXTS},
    "/similarity": {"inputs": {"source_sentence": "s", "sentences": TEXTS}},
}


def plan(path: str, body: Any, *, limit: int = LIMIT, rules: Rules = RULES, asks_bulk: bool = False) -> Plan:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return plan_of(path, raw, rules, Allowed(limit, ALLOWED.length_max), asks_bulk=asks_bulk)


def is_as_it_came(planned: Plan, body: bytes) -> bool:
    return planned.jobs == [PlannedJob(1, "verbatim", body, content_type=JSON)] and planned.form is None


def calls(planned: Plan, path: str) -> list[Any]:
    assert {(job.kind, job.content_type) for job in planned.jobs} == {("verbatim", JSON)}
    assert (planned.route, planned.alone) == (path, Alone.ROUTE)
    return [json.loads(job.body) for job in planned.jobs]


def listed(path: str, body: Any) -> list[Any]:
    """The list of a body."""
    items: list[Any] = {
        "/tokenize": lambda: body["inputs"],
        "/decode": lambda: body["ids"],
        "/rerank": lambda: body["texts"],
        "/similarity": lambda: body["inputs"]["sentences"],
    }[path]()
    return items


def rest(path: str, body: Any) -> Any:
    """A body without its list."""
    other = json.loads(json.dumps(body))
    listed(path, other).clear()
    return other


@pytest.mark.parametrize("path", PATHS)
def test_a_long_list_is_cut_into_calls_with_the_whole_rest(path: str) -> None:
    planned = plan(path, LONG[path])

    made = calls(planned, path)
    size = LIMIT - 1 if path == "/similarity" else LIMIT
    assert [len(listed(path, call)) for call in made] == [len(job.places) for job in planned.jobs]
    assert [job.n for job in planned.jobs] == [len(job.places) for job in planned.jobs]
    assert [item for call in made for item in listed(path, call)] == listed(path, LONG[path])
    assert [place for job in planned.jobs for place in job.places] == list(range(9))
    assert max(len(job.places) for job in planned.jobs) == size
    assert all(rest(path, call) == rest(path, LONG[path]) for call in made)


@pytest.mark.parametrize("path", PATHS)
def test_a_list_that_the_upstream_takes_goes_on_as_it_came(path: str) -> None:
    body = json.dumps(LONG[path], indent=1).encode()
    inputs = 10 if path == "/similarity" else 9

    assert is_as_it_came(plan(path, body, limit=inputs), body)
    assert len(plan(path, body, limit=inputs - 1).jobs) == 2


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "/tokenize": [
        {"add_special_tokens": False},
        {"prompt_name": "é"},
        {"prompt_name": "", "add_special_tokens": False},
    ],
    "/decode": [{"skip_special_tokens": False}],
    "/rerank": [
        {"truncate": True},
        {"truncate": False, "truncation_direction": "Left"},
        {"raw_scores": True},
        {"return_text": True, "raw_scores": True},
    ],
    "/similarity": [
        {"parameters": {"truncate": False}},
        {"parameters": {"truncation_direction": "Left", "prompt_name": "q"}},
    ],
}
DEFAULTS: dict[str, list[dict[str, Any]]] = {
    "/tokenize": [{"add_special_tokens": True, "prompt_name": None}, {"x": [{"inputs": 1}]}],
    "/decode": [{"skip_special_tokens": True}],
    "/rerank": [{"truncate": None, "truncation_direction": "right", "raw_scores": False, "return_text": False}],
    "/similarity": [{"parameters": None}, {"parameters": {"truncate": None, "prompt_name": None, "x": 1}}],
}


@pytest.mark.parametrize(("path", "options"), [(path, each) for path, several in OPTIONS.items() for each in several])
def test_options_are_in_each_call(path: str, options: dict[str, Any]) -> None:
    body = LONG[path] | options
    assert all(rest(path, call) == rest(path, body) for call in calls(plan(path, body), path))


@pytest.mark.parametrize(("path", "options"), [(path, each) for path, several in DEFAULTS.items() for each in several])
def test_defaults_and_unknown_fields_are_in_none(path: str, options: dict[str, Any]) -> None:
    assert all(rest(path, call) == rest(path, LONG[path]) for call in calls(plan(path, LONG[path] | options), path))


ODD: dict[str, list[Any]] = {
    "/tokenize": [
        {"inputs": [*TEXTS, 1]},
        {"inputs": "a text"},
        {"inputs": TEXTS, "add_special_tokens": None},
        {"inputs": TEXTS, "prompt_name": 1},
        b'{"inputs":["a","b","c","d","e"],"inputs":["f"]}',
        b'{"inputs":["a","b","c","d","e"],} junk',
        [TEXTS, True, None],
        [],
    ],
    "/decode": [
        {"ids": list(range(9))},
        {"ids": [[1]] * 8 + [2]},
        {"ids": [[1]] * 8 + [[2**32]]},
        {"ids": [[1]] * 8 + [["2"]]},
        {"ids": [[1]] * 9, "skip_special_tokens": None},
        b'{"ids":[[1],[2],[3],[4],[-0]]}',
        b'{"ids":[[1],[2],[3],[4],[5.0]]}',
    ],
    "/rerank": [
        {"query": None, "texts": TEXTS},
        {"texts": TEXTS},
        {"query": "q", "texts": [*TEXTS, None]},
        {"query": "q", "texts": TEXTS, "raw_scores": None},
        {"query": "q", "texts": TEXTS, "truncation_direction": "up"},
        b'{"query":"q","query":"r","texts":["a","b","c","d","e"]}',
        b'{"query":"\\ud800","texts":["a","b","c","d","e"]}',
        ["q", TEXTS],
    ],
    "/similarity": [
        {"inputs": TEXTS},
        {"inputs": {"sentences": TEXTS}},
        {"inputs": {"source_sentence": "s", "sentences": [*TEXTS, 1]}},
        {"inputs": {"source_sentence": None, "sentences": TEXTS}},
        {"inputs": LONG["/similarity"]["inputs"], "parameters": []},
        {"inputs": LONG["/similarity"]["inputs"], "parameters": {"truncate": 1}},
        {"inputs": LONG["/similarity"]["inputs"], "parameters": {"prompt_name": 1}},
        {"inputs": LONG["/similarity"]["inputs"], "parameters": {"truncation_direction": None}},
        b'{"inputs":{"source_sentence":"s","source_sentence":"t","sentences":["a","b","c","d","e"]}}',
        b'{"inputs":{"source_sentence":"s","sentences":["a","b","c","d","e"]},"parameters":{"truncate":true,"truncate":true}}',
        b'{"inputs":{"source_sentence":"s","sentences":["a","b","c","d","e"]},"parameters":null,"parameters":null}',
    ],
}


@pytest.mark.parametrize(("path", "body"), [(path, each) for path, several in ODD.items() for each in several])
def test_what_is_not_plainly_a_list_is_the_upstreams_to_judge(path: str, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert is_as_it_came(plan(path, raw), raw)


@pytest.mark.parametrize("path", PATHS)
def test_empty_items_are_the_upstreams_to_judge(path: str) -> None:
    """In their call, whose refusal is the answer."""
    body = json.loads(json.dumps(LONG[path]))
    listed(path, body)[5] = [] if path == "/decode" else ""
    assert [item for call in calls(plan(path, body), path) for item in listed(path, call)] == listed(path, body)


@pytest.mark.parametrize("path", PATHS)
def test_the_longest_list_is_the_proxys(path: str) -> None:
    inputs = 10 if path == "/similarity" else 9
    plan(path, LONG[path], rules=Rules(RULES.ruler, inputs, 2048))
    with pytest.raises(InvalidRequest, match=f"batch size {inputs} > maximum allowed batch size {inputs - 1}"):
        plan(path, LONG[path], rules=Rules(RULES.ruler, inputs - 1, 2048))


@pytest.mark.parametrize("path", PATHS)
def test_a_list_is_bulk_by_wish_or_by_length(path: str) -> None:
    assert not plan(path, LONG[path]).is_bulk
    assert plan(path, LONG[path], asks_bulk=True).is_bulk
    assert plan(path, LONG[path], rules=Rules(RULES.ruler, 2048, 8)).is_bulk


def test_sentences_need_a_place_beside_their_source() -> None:
    body = json.dumps(LONG["/similarity"]).encode()
    assert is_as_it_came(plan("/similarity", body, limit=1), body)
    assert len(plan("/similarity", body, limit=2).jobs) == 9


@pytest.mark.parametrize("path", ["/rerank", "/similarity"])
def test_what_is_in_each_call_may_not_make_them_too_many_bytes(path: str) -> None:
    def body(size: int) -> bytes:
        if path == "/rerank":
            return json.dumps({"query": "q" * size, "texts": TEXTS}).encode()
        return json.dumps({"inputs": {"source_sentence": "s" * size, "sentences": TEXTS}}).encode()

    assert len(plan(path, body(REPEATED_BYTES_MAX // 3 - 100)).jobs) == 3
    assert is_as_it_came(plan(path, body(REPEATED_BYTES_MAX // 3)), body(REPEATED_BYTES_MAX // 3))


def test_characters_are_those_that_are_computed() -> None:
    """TEI counts a query once for each text."""
    assert plan("/rerank", LONG["/rerank"]).characters == 9 * len("q") + 9 * len("text 0")
    assert plan("/similarity", LONG["/similarity"]).characters == 3 * len("s") + 9 * len("text 0")
    assert plan("/tokenize", LONG["/tokenize"]).characters == 0


def shortest(score: float) -> str:
    """As TEI writes a float32."""
    (single,) = struct.unpack("<f", struct.pack("<f", score))
    return next(
        text
        for digits in range(1, 10)
        if struct.pack("<f", float(text := f"{single:.{digits}g}")) == struct.pack("<f", single)
    )


def ranks(texts: list[tuple[str, str]], *, with_text: bool) -> bytes:
    """What TEI answers to texts with these scores: sorted upwards, equal ones in their order, and then reversed."""
    order = sorted(range(len(texts)), key=lambda at: float(texts[at][1]))[::-1]
    said = [
        b'{"index":%d,%b"score":%b}'
        % (at, b'"text":%b,' % json.dumps(texts[at][0]).encode() if with_text else b"", texts[at][1].encode())
        for at in order
    ]
    return b"[%b]" % b",".join(said)


SCORES = st.sampled_from(["0.5", "1.0", "0.0", "1e-7", "-3.25"]) | st.floats(-9, 9, width=32).map(shortest)


@given(st.lists(st.tuples(st.text(max_size=3), SCORES), min_size=5, max_size=20), st.sampled_from([True, False]))
def test_ranks_of_several_calls_are_those_of_one(texts: list[tuple[str, str]], with_text: Any) -> None:
    planned = plan("/rerank", {"query": "q", "texts": [text for text, _ in texts]})
    answers = [(job.places, ranks([texts[place] for place in job.places], with_text=with_text)) for job in planned.jobs]

    assert body_of(planned, join_rows(answers)) == ranks(texts, with_text=with_text)


@pytest.mark.parametrize(
    "answer",
    [
        b'[{"index":0,"score":1},{"index":0,"score":1}]',
        b'[{"index":0,"score":1},{"index":2,"score":1}]',
        b'[{"index":0,"score":1},{"index":-1,"score":1}]',
        b'[{"index":0,"score":1},{"index":1,"score":null}]',
        b'[{"index":0,"score":1},{"index":1,"score":"1"}]',
        b'[{"index":0,"score":1},{"index":1}]',
        b"[[0,1],[1,1]]",
        b"[0.5,0.5]",
        b'[{"index":0,"score":1}]',
    ],
)
def test_an_odd_rank_is_never_a_success(answer: bytes) -> None:
    """The answer of the second call."""
    good = b'[{"index":1,"score":2},{"index":0,"score":1}]'
    planned = plan("/rerank", {"query": "q", "texts": ["a", "b", "c", "d"]}, limit=2)

    assert body_of(planned, b"%b,%b" % (good[:-1], good[1:])).count(b"index") == 4
    with pytest.raises(UpstreamProtocolError):
        body_of(planned, b"%b,%b" % (good[:-1], answer[1:]))


@pytest.mark.parametrize("end", ["", " x"])
def test_a_list_that_one_call_takes_is_counted_too(end: str) -> None:
    rules = Rules(RULES.ruler, 2, 2048)
    with pytest.raises(InvalidRequest, match="batch size 3 > maximum allowed batch size 2"):
        plan_of("/tokenize", b'{"inputs":["a","b","c"]}' + end.encode(), rules)
