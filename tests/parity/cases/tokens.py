"""The tokenizer's routes: /tokenize and /decode."""

from collections.abc import Iterator

from tests.parity.cases.case import Case, Facts, Json, chunks, numbered, post, posts, split
from tests.parity.cases.inputs import ESCAPES, TEXTS

TOKENIZE_INPUTS: dict[str, Json] = {
    "text": "hello world",
    "list of one": ["hello world"],
    "list": ["hello", "world", "hello"],
    "empty text": "",
    "empty list": [],
    "empty text in a list": ["a", ""],
    "empty texts in a list": ["", ""],
    "ids": [101, 102],
    "list of ids": [[101, 102]],
    "text and number": ["a", 1],
    "null in a list": [None],
    "null": None,
    "number": 5,
    "boolean": False,
    "object": {"text": "a"},
}

TOKENIZE_OPTIONS: dict[str, Json] = {
    "with special tokens": {"add_special_tokens": True},
    "without special tokens": {"add_special_tokens": False},
    "special tokens null": {"add_special_tokens": None},
    "special tokens number": {"add_special_tokens": 1},
    "special tokens text": {"add_special_tokens": "false"},
    "prompt null": {"prompt_name": None},
    "prompt unknown": {"prompt_name": "none"},
    "prompt number": {"prompt_name": 1},
    "truncate is no option": {"truncate": "x"},
}

IDS: dict[str, Json] = {
    "ids": [101, 7592, 2088, 102],
    "one id": [7592],
    "list of ids": [[101, 7592, 102], [2088]],
    "list of one": [[101, 7592, 102]],
    "pieces of words": [[7861, 8270, 4667], [4667]],
    "special ids": [0, 100, 101, 102, 103],
    "empty list": [],
    "empty ids in a list": [[]],
    "empty ids at the end": [[7592], []],
    "unknown ids": [4_000_000_000, 7592],
    "the largest id": [[2**32 - 1]],
    "number beyond ids": [2**32],
    "negative id": [-1],
    "float": [7592.0],
    "text": "hello",
    "list of texts": ["hello"],
    "ids and lists": [7592, [2088]],
    "lists and ids": [[7592], 2088],
    "null": None,
    "number": 7592,
    "boolean in a list": [True],
    "nested": [[[7592]]],
}

DECODE_OPTIONS: dict[str, Json] = {
    "skipping": {"skip_special_tokens": True},
    "not skipping": {"skip_special_tokens": False},
    "skip null": {"skip_special_tokens": None},
    "skip number": {"skip_special_tokens": 0},
    "an unknown key": {"x": 1},
}


def tokenize(facts: Facts) -> Iterator[Case]:
    """Texts to tokens, never truncated."""
    yield from posts("/tokenize", {name: {"inputs": value} for name, value in TOKENIZE_INPUTS.items()})
    for name, option in TOKENIZE_OPTIONS.items():
        yield post(name, "/tokenize", {"inputs": ["hello world", "a"], **option})
    yield from posts("/tokenize", {f"text: {name}": {"inputs": text} for name, text in TEXTS.items()})
    yield from posts("/tokenize", {f"text: {name}": b'{"inputs":%b}' % raw for name, raw in ESCAPES.items()})
    yield post("longer than the model takes", "/tokenize", {"inputs": "alpha " * facts.tokens_max})
    characters = facts.characters_max
    yield post("as many characters as can be", "/tokenize", {"inputs": "a" * characters})
    yield post("one character too many", "/tokenize", {"inputs": ["a", "a" * (characters + 1)]})
    yield post("too many characters after an empty text", "/tokenize", {"inputs": ["", "a" * (characters + 1)]})
    yield post("inputs twice", "/tokenize", b'{"inputs":"a","inputs":"b"}')
    yield post("no inputs", "/tokenize", {"add_special_tokens": True})
    yield post("three positions", "/tokenize", ["hello world", False, None])
    yield post("two positions", "/tokenize", ["hello world", False])
    yield post("one position", "/tokenize", ["hello world"])
    yield post("junk after it", "/tokenize", b'{"inputs":"a"} junk')
    yield from long_lists("/tokenize", "inputs", list(numbered(facts.inputs_max)), "", facts)
    items = [f"é {text}" for text in numbered(facts.inputs_max + 1)]
    body = {"prompt_name": None, "add_special_tokens": False, "no_such_option": "-0"}
    pieces = [{"inputs": piece, **body} for piece in chunks(items, facts.inputs_max)]
    yield split("a long list with options", "/tokenize", {"inputs": items, **body}, pieces)
    yield post("a long list with a wrong option", "/tokenize", {"inputs": items, "add_special_tokens": 1})
    yield post("a long list with a number", "/tokenize", {"inputs": [*items, 1]})
    yield post("one more than the proxy takes", "/tokenize", {"inputs": ["a"] * 2049}, differs="own limit")


def decode(facts: Facts) -> Iterator[Case]:
    """Token ids to texts."""
    yield from posts("/decode", {name: {"ids": value} for name, value in IDS.items()})
    for name, option in DECODE_OPTIONS.items():
        yield post(name, "/decode", {"ids": [[101, 7592, 2088, 102], [103]], **option})
    yield post("ids twice", "/decode", b'{"ids":[1],"ids":[2]}')
    yield post("inputs are not ids", "/decode", {"inputs": [7592]})
    yield post("minus zero is no id", "/decode", b'{"ids":[-0]}')
    yield post("two positions", "/decode", [[101, 7592], True])
    yield post("one position", "/decode", [[101, 7592]])
    yield post("junk after it", "/decode", b'{"ids":[7592]} junk')
    items: list[Json] = [[7592 + index, 102] for index in range(facts.inputs_max)]
    yield from long_lists("/decode", "ids", items, [], facts)
    option = {"skip_special_tokens": False}
    pieces = [{"ids": piece, **option} for piece in chunks([*items, [0]], facts.inputs_max)]
    yield split("a long list with an option", "/decode", {"ids": [*items, [0]], **option}, pieces)
    yield post("a long list with a text", "/decode", {"ids": [*items, "a"]})
    yield post("a long list of ids", "/decode", {"ids": [7592] * (2 * facts.inputs_max)})


def long_lists(path: str, key: str, full: list[Json], empty: Json, facts: Facts) -> Iterator[Case]:
    """The longest lists that the upstream takes, and longer ones."""
    yield post("a full list", path, {key: full})
    for name, items in {
        "one more than a full list": [*full, full[0]],
        "three full lists": full * 3,
        "one more, and it is empty": [*full, empty],
        "two empty ones in different pieces": [empty, *full, empty],
    }.items():
        yield split(name, path, {key: items}, [{key: piece} for piece in chunks(items, facts.inputs_max)])


def cases(facts: Facts) -> Iterator[Case]:
    """Both routes."""
    yield from tokenize(facts)
    yield from decode(facts)
