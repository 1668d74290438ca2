"""Bodies as the framework reads them: limits of JSON, forms of a struct, content types, sizes."""

import gzip
from collections.abc import Iterator

from tests.parity.cases.case import JSON, OPENAI_PATHS, Case, Facts, Json, post, posts

GOOD = b'{"inputs":"hello"}'

SYNTAX = {
    "no body": b"",
    "only white space": b" \n\t",
    "an open object": b"{",
    "an open text": b'{"inputs":"a',
    "an open list": b'{"inputs":["a",',
    "no value": b'{"inputs":}',
    "no colon": b'{"inputs" "a"}',
    "no comma": b'{"inputs":["a" "b"]}',
    "a comma too many": b'{"inputs":"a",}',
    "a comma too many in a list": b'{"inputs":["a",]}',
    "single quotes": b"{'inputs':'a'}",
    "a bare key": b'{inputs:"a"}',
    "a comment": b'{"inputs":"a"/* no */}',
    "python's None": b'{"inputs":"a","truncate":None}',
    "a form": b"inputs=hello",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "NaN": b'{"inputs":NaN}',
    "Infinity": b'{"inputs":"a","dimensions":Infinity}',
    "NaN in an unknown key": b'{"inputs":"a","x":NaN}',
    "a plus sign": b'{"inputs":[+1]}',
    "a bare point": b'{"inputs":"a","dimensions":1.}',
    "a fault in the third line": b'{\n "inputs":\n  oops\n}',
    "nested too deep in inputs": b'{"inputs":' + b"[" * 200 + b"]" * 200 + b"}",
    "nested too deep, and open": b'{"inputs":' + b"[" * 200,
    "a lone surrogate in a key": rb'{"\ud83d":1,"inputs":"a"}',
    "invalid utf-8 in a key": b'{"\xff":1,"inputs":"a"}',
    "a lone surrogate in a known key": rb'{"inputs":"a","prompt_name":"\ud83d"}',
    "a control character in an unknown key": b'{"x":"\x01","inputs":"a"}',
    "an unknown escape in an unknown key": rb'{"x":"\x","inputs":"a"}',
    "a comma too many in an unknown key": b'{"x":[1,],"inputs":"a"}',
    "brackets that do not match in an unknown key": b'{"x":[1},"inputs":"a"}',
    "a number with a leading zero in an unknown key": b'{"x":01,"inputs":"a"} junk',
    "an open list in an unknown key": b'{"inputs":"a","x":' + b"[" * 3000,
    "gzip": gzip.compress(GOOD, mtime=0),
}

TAKEN = {
    "white space around it": b' \r\n\t{ "inputs" :\n"hello" }\n ',
    "words after it": GOOD + b" junk",
    "an object after it": GOOD + b'{"inputs":"b"}',
    "a bracket after it": GOOD + b"]",
    "a brace after it": GOOD + b"}",
    "a null byte after it": GOOD + b"\x00",
    "invalid utf-8 after it": GOOD + b"\xff",
    "a list and junk after it": b'{"inputs":["hello","a"]}]',
    "options and junk after it": b'{"normalize":false,"dimensions":4,"inputs":"hello"} x',
    "a variant and junk after it": b'{"truncation_direction":{"Left":null},"inputs":"hello"} x',
    "an escaped key": rb'{"\u0069nputs":"hello"}',
    "an unknown key twice": b'{"x":1,"inputs":"hello","x":2}',
    "an empty key": b'{"":1,"inputs":"hello"}',
    "a known key inside an unknown one": b'{"inputs":"hello","x":{"inputs":1,"truncate":2}}',
    "an unknown key nested deep": b'{"x":' + b"[" * 1000 + b"]" * 1000 + b',"inputs":"hello"}',
    "an unknown key nested deeper": b'{"x":' + b'[{"a":' * 1500 + b"1" + b"}]" * 1500 + b',"inputs":"hello"}',
    "an unknown key beyond all floats": b'{"x":1e999,"inputs":"hello"}',
    "a lone surrogate in an unknown key": rb'{"x":"\ud83d","inputs":"hello"}',
    "a lone surrogate in a key inside an unknown one": rb'{"x":{"\ud83d":1},"inputs":"hello"}',
    "invalid utf-8 in an unknown key": b'{"x":"\xff","inputs":"hello"}',
    "invalid utf-8 in a key inside an unknown one": b'{"x":[{"\xff":1}],"inputs":"hello"}',
}

#: Spellings in which nothing may hide: none of the ids is in the vocabulary.
UNKNOWN_IDS = {
    f"unknown ids {name}": body
    for name, body in {
        "and words after them": b'{"inputs":[4000000000]} junk',
        "and a brace after them": b'{"inputs":[4000000000]}}',
        "and a lone surrogate": rb'{"inputs":[4000000000],"x":"\ud83d"}',
        "and invalid utf-8": b'{"x":"\xff","inputs":[4000000000]}',
        "and an unknown key nested deep": b'{"inputs":[4000000000],"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
        "by position": b'[[4000000000],null,"right",null,true,null]',
        "by position, and words after them": b'[[4000000000],null,"right",null,true,null] junk',
        "and a variant": b'{"inputs":[4000000000],"truncation_direction":{"Left":null}} junk',
    }.items()
}

SHAPES: dict[str, Json] = {
    "an empty object": {},
    "no inputs": {"truncate": True},
    "inputs in another case": {"Inputs": "a"},
    "a text": "hello",
    "a number": 5,
    "a float": 0.5,
    "a negative number": -5,
    "null": None,
    "true": True,
    "a text and junk": b'"hello" junk',
    "inputs twice": b'{"inputs":"a","inputs":"b"}',
    "inputs twice, once escaped": rb'{"inputs":"a","\u0069nputs":"b"}',
    "truncate twice": b'{"inputs":"a","truncate":null,"truncate":true}',
    "a fault before a key twice": b'{"truncate":1,"inputs":"a","inputs":"b"}',
    "a fault of shape before one of syntax": b'{"truncate":1,"inputs":',
    "a wrong shape in the third line": b'{\n "inputs":\n  5\n}',
}

POSITIONS: dict[str, Json] = {
    "no positions": [],
    "one position": ["hello"],
    "five positions": ["hello", None, "right", None, True],
    "six positions": ["hello", None, "right", None, True, None],
    "six positions, all set": [["a", "b"], True, "left", None, False, 4],
    "six positions, one wrong": ["hello", None, "right", None, None, None],
    "seven positions": ["hello", None, "right", None, True, None, None],
    "six positions and junk": b'["hello",null,"right",null,true,null] junk',
}

CONTENT_TYPES = {
    "application/json": "application/json",
    "with a charset": "application/json; charset=utf-8",
    "with another charset": "application/json;charset=latin-1",
    "in capitals": "Application/JSON",
    "application/vnd.api+json": "application/vnd.api+json",
    "application/problem+json with a parameter": "application/problem+json; v=1",
    "empty": "",
    "text/plain": "text/plain",
    "text/json": "text/json",
    "application/jsonp": "application/jsonp",
    "application/xml": "application/xml",
    "application/octet-stream": "application/octet-stream",
    "a form": "application/x-www-form-urlencoded",
    "image/svg+json": "image/svg+json",
    "no subtype": "json",
    "two in one": "application/json, text/plain",
}


def sizes(facts: Facts) -> Iterator[Case]:
    """Bodies near the limit."""
    limit = facts.body_bytes_max
    for name, body in {
        "of an unknown key": b'{"inputs":"hello","x":"%b"}',
        "of white space": b'{"inputs":"hello"}%b',
        "of a text": b'{"inputs":"%b"}',
    }.items():
        room = limit - len(body % b"")
        filler = b" " if "white" in name else b"a"
        yield post(f"the largest body {name}", "/embed", body % (filler * room))
    over = b'{"inputs":"%b"}' % (b"a" * (limit - 12))
    assert len(over) == limit + 1
    yield post("one byte too large", "/embed", over)
    yield post("one byte too large, in chunks", "/embed", over, is_chunked=True)
    yield post("too large, and no json", "/embed", b"x" * (limit + 1))
    yield post("too large, without a content type", "/embed", over, ())
    yield post("in chunks", "/embed", GOOD, is_chunked=True)


def every_route(paths: tuple[str, ...]) -> Iterator[Case]:
    """The framework's answers are the same on every route that takes a body."""
    bodies: dict[str, Json] = {
        "no body": b"",
        "an empty object": {},
        "a text": "hello",
        "null": None,
        "no positions": [],
        "an open object": b"{",
        "NaN": b'{"inputs":NaN,"input":NaN}',
        "gzip": SYNTAX["gzip"],
    }
    for path in paths:
        yield from posts(path, {f"body: {name}": body for name, body in bodies.items()})
        yield post("no content type", path, GOOD, ())
        yield post("text/plain", path, GOOD, (("content-type", "text/plain"),))


def cases(facts: Facts, paths: tuple[str, ...]) -> Iterator[Case]:
    """Bodies of /embed in full, and those of the other routes."""
    yield from posts("/embed", {f"body: {name}": body for name, body in SYNTAX.items()})
    yield from posts("/embed", {f"body: {name}": body for name, body in TAKEN.items()})
    yield from posts("/embed", UNKNOWN_IDS, differs="unknown ids")
    yield from posts("/embed", {f"body: {name}": body for name, body in SHAPES.items()})
    yield from posts("/embed", {f"body: {name}": body for name, body in POSITIONS.items()})
    for name, value in CONTENT_TYPES.items():
        yield post(f"content type {name}", "/embed", GOOD, (("content-type", value),))
    yield post("no content type", "/embed", GOOD, ())
    yield post("no content type and no body", "/embed", b"", ())
    types = (*JSON, ("content-type", "text/plain"))
    yield post("two content types", "/embed", GOOD, types, differs="two content types")
    yield post("content encoding gzip", "/embed", SYNTAX["gzip"], (*JSON, ("content-encoding", "gzip")))
    yield post("content encoding that is not true", "/embed", GOOD, (*JSON, ("content-encoding", "gzip")))
    yield from sizes(facts)
    yield from every_route(tuple(path for path in paths if path != "/embed"))
    for path in OPENAI_PATHS:
        body = b'{"input":"%b"}' % (b"a" * (facts.body_bytes_max - 11))
        yield post("one byte too large", path, body)
