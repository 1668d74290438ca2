"""Requests over the whole grammar of JSON: valid and invalid ones, in every spelling.

Requests that differ on purpose or crash a real server are left out: `differences.TABLE` and ids that no vocabulary has.
"""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.parity.cases.case import OPENAI_PATHS, Case, post

Draw = Callable[[st.SearchStrategy[Any]], Any]

#: Realistic names of models and users, and strings that contain JSON syntax.
STRINGS = (
    "text-embedding-ada-002",
    "Qwen/Qwen3-Embedding-0.6B",
    "gemini-embedding-001",
    "0b9c-04-00-02",
    "2025-01-02T03:04:05-00:00",
    "José",
    "a\\b",
    '"inputs"',
    '{"inputs":["a"],"truncate":true}',
    "-0",
    "null",
    "float",
    "base64",
    "left",
    "Right",
    "",
    " ",
    "😀 é",
    "line\nend\t\u0001\u007f",
    "</s>",
)
NUMBERS = (
    "0",
    "1",
    "2",
    "8",
    "384",
    "-0",
    "-1",
    "1.0",
    "0.5",
    "-0.0",
    "1e2",
    "1E-2",
    "1e999",
    "4294967296",
    "01",
    "1.",
)
LITERALS = ("null", "true", "false", "NaN")
IDS = (101, 102, 1037, 2088, 7592, 0, 100, 103, 29_999)

#: The fields of each route, the values most likely to be accepted first.
FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "/embed": {
        "inputs": (),
        "truncate": (True, False, None),
        "truncation_direction": ("left", "Right"),
        "prompt_name": (None,),
        "normalize": (True, False),
        "dimensions": (None, 1, 8),
    },
    "/embed_all": {"inputs": (), "truncate": (True, None), "truncation_direction": ("left",), "prompt_name": (None,)},
    "/embed_sparse": {"inputs": (), "truncate": (True, None)},
    "/tokenize": {"inputs": (), "add_special_tokens": (True, False), "prompt_name": (None,)},
    "/decode": {"ids": (), "skip_special_tokens": (True, False)},
    "/predict": {"inputs": (), "truncate": (True, None), "raw_scores": (True, False)},
    "/rerank": {"query": ("q",), "texts": (["a", "b"],), "truncate": (True, None), "return_text": (True,)},
    "/similarity": {"inputs": ({"source_sentence": "a", "sentences": ["b", "c"]},), "parameters": (None, {})},
    "/v1/embeddings": {
        "input": (),
        "model": STRINGS[:4],
        "user": STRINGS[3:6],
        "encoding_format": ("float", "base64"),
        "dimensions": (None, 1, 8),
    },
}
INPUTS = ("inputs", "input", "ids")
REQUIRED = (*INPUTS, "query", "texts")
UNKNOWN = ("x", "metadata", "", "Inputs", "options", "\\u0069nput")


@st.composite
def cases(draw: Draw) -> Case:
    """A POST to one of the routes, with a body that is almost valid."""
    path = draw(st.sampled_from(sorted(FIELDS)))
    fields = FIELDS[path]
    names = [name for name in fields if name in REQUIRED or draw(st.integers(0, 2)) == 0]
    names += draw(st.lists(st.sampled_from(UNKNOWN), max_size=2))
    if draw(st.integers(0, 9)) == 0:
        names.append(draw(st.sampled_from(sorted(fields))))  # perhaps twice
    members = [
        _string(draw, name) + _space(draw) + b":" + _space(draw) + _value(draw, path, name, fields.get(name))
        for name in draw(st.permutations(names))
    ]
    comma = _space(draw) + b"," + _space(draw)
    body = _space(draw) + b"{" + _space(draw) + comma.join(members) + _space(draw) + b"}" + _space(draw)
    if draw(st.integers(0, 14)) == 0:
        body += draw(st.sampled_from((b"junk", b"}", b"{", b"\x00", b"[]")))
    if draw(st.integers(0, 14)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    return post(f"random {body!r}", path, body, differs="several calls")


def some(count: int, number: int) -> list[Case]:
    """Return this many different cases; the same seed gives the same cases."""
    found: dict[str, Case] = {}

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(cases())
    def keep(case: Case) -> None:
        found[case.id] = case

    keep()
    return [*found.values()]


def _value(draw: Draw, path: str, name: str, likely: tuple[Any, ...] | None) -> bytes:
    if name in INPUTS and draw(st.integers(0, 5)):
        return _inputs(draw, path)
    if likely and draw(st.integers(0, 4)):
        return _spelled(draw, draw(st.sampled_from(likely)))
    found = _any(draw, 0)
    # Treated as absent: a difference on purpose.
    return b"0" if name == "encoding_format" and found == b"null" else found


def _inputs(draw: Draw, path: str) -> bytes:
    texts = st.sampled_from(STRINGS)
    ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4)
    if path == "/decode":
        return _spelled(draw, draw(st.one_of(ids, st.lists(ids, min_size=1, max_size=3))))
    some_texts = st.lists(texts, min_size=1, max_size=4)
    forms: tuple[st.SearchStrategy[Any], ...] = (texts, some_texts)
    if path not in OPENAI_PATHS:  # there, ids of a foreign vocabulary are a difference on purpose
        forms += (ids, st.lists(st.one_of(texts, ids), min_size=1, max_size=4))
    return _spelled(draw, draw(st.one_of(forms)))


def _spelled(draw: Draw, value: Any) -> bytes:
    """Write a value with random white space and escapes."""
    if isinstance(value, str):
        return _string(draw, value)
    if isinstance(value, list):
        return b"[" + (_space(draw) + b"," + _space(draw)).join([_spelled(draw, item) for item in value]) + b"]"
    if isinstance(value, dict):
        pairs = [_string(draw, key) + b":" + _spelled(draw, item) for key, item in value.items()]
        return b"{" + b",".join(pairs) + b"}"
    return json.dumps(value).encode()


def _any(draw: Draw, depth: int) -> bytes:
    kind = draw(st.integers(0, 5 if depth < 3 else 2))
    if kind == 0:
        return str(draw(st.sampled_from(NUMBERS))).encode()
    if kind == 1:
        return str(draw(st.sampled_from(LITERALS))).encode()
    if kind in {2, 3}:
        return _string(draw, draw(st.sampled_from(STRINGS)))
    items = [_any(draw, depth + 1) for _ in range(draw(st.integers(0, 3)))]
    if kind == 4:
        return b"[" + b",".join(items) + b"]"
    names = [_string(draw, draw(st.sampled_from(("a", "inputs", "truncate", "")))) for _ in items]
    return b"{" + b",".join(name + b":" + item for name, item in zip(names, items, strict=True)) + b"}"


def _string(draw: Draw, text: str) -> bytes:
    style = draw(st.integers(0, 11))
    if style == 0:  # every character as an escape
        return b'"' + b"".join(b"\\u%04x" % unit for unit in _units(text)) + b'"'
    if style == 1:
        return json.dumps(text).replace("/", "\\/").encode()
    return json.dumps(text, ensure_ascii=False).encode()


def _units(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


def _space(draw: Draw) -> bytes:
    return b"" if draw(st.integers(0, 7)) else bytes(draw(st.sampled_from((b" ", b"\n ", b"\t", b"\r\n"))))
