"""The `inputs` of the embed routes, and `input` of OpenAI's: every member of the union, and values that are not."""

from collections.abc import Iterator

from tests.parity.cases.case import OPENAI_PATHS, Case, Facts, Json, chunks, numbered, post, posts, split

#: Sent raw, because no encoder writes them.
RAW = {
    "minus zero is no id": b"[-0]",
    "an exponent is no id": b"[1e2]",
    "a leading zero": b"[01]",
    "a number beyond all floats": b"[1e999]",
    "a key twice in an object": b'{"a":1,"a":2}',
}

UNION: dict[str, Json] = {
    "text": "hello world",
    "ids": [101, 7592, 2088, 102],
    "two numbers are one input": [1037, 1038],
    "one id": [7592],
    "special ids": [0, 100, 101, 102, 103],
    "list of one": ["a"],
    "list": ["hello", "world", "again"],
    "list of ids": [[101, 7592, 102], [2088]],
    "mixed list": ["hello", [101, 7592, 102], "world"],
    "empty text": "",
    "empty list": [],
    "empty ids in a list": [[]],
    "empty text in a list": [""],
    "empty text at the end": ["a", ""],
    "empty text in the middle": ["a", "", "b"],
    "empty ids at the end": ["a", []],
    "null": None,
    "integer": 5,
    "float": 1.5,
    "boolean": True,
    "empty object": {},
    "object": {"text": "a"},
    "text before a number": ["a", 1],
    "number before a text": [1, "a"],
    "float in a list": [1.5],
    "whole float in a list": [1.0],
    "negative id": [-1],
    "boolean in a list": [True],
    "null in a list": [None],
    "object in a list": [{"text": "a"}],
    "pair": [["a", "b"]],
    "text in a list in a list": [["a"]],
    "ids beside a pair": [[7592], ["a", "b"]],
    "ids in a list in a list": [[[7592]]],
    "float among ids": [[7592, 1.5]],
    "negative among ids": [["a"], [-7592]],
    "first number beyond ids": [2**32],
    "number beyond ids in a list": ["a", [2**32]],
    "number beyond 64 bits": [2**64],
}

#: None of them is in the vocabulary, and no current model has the largest possible id.
UNKNOWN_IDS: dict[str, Json] = {
    "an unknown id": [101, 4_000_000_000, 102],
    "the largest id": [2**32 - 1],
    "only unknown ids": [[4_000_000_000, 4_000_000_001]],
    "an unknown id in a mixed list": ["a", [101, 4_000_000_000, 102]],
}

TEXTS = {
    "a space": " ",
    "white space": "\t \r\n \u00a0\u2003\u3000",
    "a null character": "a\u0000b",
    "control characters": "\u0001\u001b[31m\u007f\u0085",
    "accents": "Ünïcödé naïveté Łódź",
    "composed and decomposed": "\u00e9 e\u0301",
    "stacked marks": "z\u0351\u036b\u0343\u036a\u0302\u036b",
    "a ligature and a sharp s": "\ufb01 STRASSE straße \u0130",
    "chinese": "自然言語処理は楽しい 机器学习",
    "right to left": "שלום עולם مرحبا \u202eabc\u202c",
    "hangul and thai": "안녕하세요 สวัสดีครับ",
    "an emoji": "😀",
    "joined emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽",
    "beyond the first plane": "\U0001d573\U0001d58a𠜎 \U0010fffd",
    "noncharacters": "\ufffe\uffff\ufffd \u200b\ufeff",
    "special tokens": "[CLS] a [SEP] b [MASK] [PAD] [UNK] <s> </s>",
    "markup": '<a href="x">&amp;</a> \\ / "quoted"',
    "one long word": "a" * 300,
    "digits and signs": "1,234.56 $5 -7e3 #tag @name http://x.y/z?a=b",
}

ESCAPES = {
    "escapes": rb'"\u00e9\n\t\b\f\r\/\\\""',
    "a surrogate pair": rb'"\ud83d\ude00"',
    "a lone high surrogate": rb'"\ud83d"',
    "a lone low surrogate": rb'"a\ude00b"',
    "surrogates in the wrong order": rb'"\ude00\ud83d"',
    "an unknown escape": rb'"\x41"',
    "an unfinished escape": rb'"\u00e',
    "invalid utf-8": b'"\xff\xfe"',
    "an overlong form": b'"\xc0\xaf"',
    "a surrogate in utf-8": b'"\xed\xa0\x80"',
    "a cut character": b'"\xf0\x9f\x98"',
    "a raw line end": b'"a\nb"',
    "a raw null": b'"a\x00b"',
}


def union(path: str, key: str) -> Iterator[Case]:
    """Every form of the inputs on one route."""
    yield from posts(path, {name: {key: value} for name, value in UNION.items()})
    yield from posts(path, {name: b'{"%b":%b}' % (key.encode(), raw) for name, raw in RAW.items()})
    yield from posts(path, {name: {key: value} for name, value in UNKNOWN_IDS.items()}, differs="unknown ids")


def lists(path: str, key: str, facts: Facts) -> Iterator[Case]:
    """Lists up to the longest that the upstream takes, and beyond."""
    full = numbered(facts.inputs_max)
    yield post("a full list", path, {key: full})
    yield post("a full list with an empty text", path, {key: [*full[:-1], ""]})
    beyond: dict[str, list[Json]] = {
        "one more than a full list": [*full, "the last"],
        "three full lists": numbered(3 * facts.inputs_max),
        "one more, and it is empty": [*full, ""],
        "two empty texts in different pieces": ["", *full, [], "a"],
        "one more than a full list of ids": [[7592, 2000 + index] for index in range(facts.inputs_max + 1)],
    }
    for name, items in beyond.items():
        pieces = [{key: piece} for piece in chunks(items, facts.inputs_max)]
        yield split(name, path, {key: items}, pieces, "openai" if path in OPENAI_PATHS else "lists")
    twins = ["hello", "world", "hello"]
    yield post("a text twice", path, {key: twins}, differs=None if path == "/embed_sparse" else "several calls")
    yield post("one more than the proxy takes", path, {key: ["a"] * 2049}, differs="own limit")


def cases(facts: Facts) -> Iterator[Case]:
    """Inputs of all routes that embed."""
    for path in ("/embed", "/embed_all", "/embed_sparse"):
        yield from union(path, "inputs")
        yield from lists(path, "inputs", facts)
    yield from posts("/embed", {f"text: {name}": {"inputs": text} for name, text in TEXTS.items()})
    yield post("text: all in one list", "/embed", {"inputs": list(TEXTS.values())}, differs="several calls")
    yield from posts("/embed", {f"text: {name}": b'{"inputs":%b}' % raw for name, raw in ESCAPES.items()})
