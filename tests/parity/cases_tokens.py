"""The tokenizer's routes: /tokenize and /decode."""

from collections.abc import Iterator

from tests.parity.cases import Case, Facts, Json, numbered, post, posts
from tests.parity.cases_inputs import ESCAPES, TEXTS

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
    """Texts to tokens, never cut."""
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
    for name, items in {
        "a full list": numbered(facts.inputs_max),
        "three full lists": numbered(3 * facts.inputs_max),
        "one more, and it is empty": [*numbered(facts.inputs_max), ""],
    }.items():
        yield post(name, "/tokenize", {"inputs": items})


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
    for name, items in {
        "a full list": [[7592 + index] for index in range(facts.inputs_max)],
        "one more than a full list": [[7592 + index, 102] for index in range(facts.inputs_max + 1)],
        "one more, and it is empty": [*([[7592]] * facts.inputs_max), []],
    }.items():
        yield post(name, "/decode", {"ids": items})


def cases(facts: Facts) -> Iterator[Case]:
    """Both routes."""
    yield from tokenize(facts)
    yield from decode(facts)
