"""/vertex: many requests in one body, each with its own options."""

from collections.abc import Iterator

from tests.parity.cases.case import Case, Facts, Json, numbered, post, posts

INSTANCES: dict[str, Json] = {
    "one": [{"inputs": "hello world"}],
    "two": [{"inputs": "hello"}, {"inputs": ["a", "b"]}],
    "ids": [{"inputs": [101, 7592, 102]}, {"inputs": [[7592], "a"]}],
    "options of each": [
        {"inputs": "hello", "dimensions": 4},
        {"inputs": "hello", "normalize": False, "dimensions": 2},
        {"inputs": "hello", "truncate": True, "truncation_direction": "Left", "prompt_name": None},
    ],
    "none": [],
    "an instance that ranks": [{"query": "q", "texts": ["a", "b"]}],
    "an instance that ranks nothing": [{"query": "q", "texts": []}],
    "an instance that is both": [{"inputs": "a", "query": "q", "texts": ["a"]}],
    "ranking beside embedding": [{"inputs": "a"}, {"query": "q", "texts": ["a"]}],
    "an instance by position": [["q", ["a"]]],
    "an instance of six positions": [["hello", None, "right", None, True, None]],
    "a fault in the second": [{"inputs": "a"}, {"inputs": ""}, {"inputs": "b"}],
    "two faults": [{"inputs": "a"}, {"inputs": "a", "dimensions": 0}, {"inputs": ""}],
    "a fault of shape after one of content": [{"inputs": ""}, {"inputs": 5}],
    "a fault of content after one of shape": [{"inputs": 5}, {"inputs": ""}],
    "no inputs": [{}],
    "inputs null": [{"inputs": None}],
    "a wrong option": [{"inputs": "a", "truncate": 1}],
    "an unknown direction": [{"inputs": "a", "truncation_direction": "up"}],
    "too many dimensions": [{"inputs": "a"}, {"inputs": "a", "dimensions": 100_000}],
    "an unknown prompt": [{"inputs": "a", "prompt_name": "none"}],
    "an unknown key": [{"inputs": "a", "x": 1}],
    "a text": ["hello"],
    "a number": [5],
    "null": [None],
    "ids for a type": [
        {"type": "embed", "inputs": [101, 7592, 102]},
        {"type": "embed_all", "inputs": [[7592], "a"]},
        {"type": "embed_sparse", "inputs": [7592], "dimensions": 4},
    ],
    "ids by position": [[[101, 7592, 102], None, "right", None, True, 4]],
    "a number beyond ids": [{"inputs": [2**32]}],
    "an unknown id beside the inputs": [{"inputs": "a", "x": [4_000_000_000]}],
    "a pair": [{"inputs": [["a", "b"]]}],
}

#: None of them is in the vocabulary: of most, a real server would die.
UNKNOWN_IDS: dict[str, Json] = {
    f"unknown ids {name}": value
    for name, value in {
        "alone": [{"inputs": [4_000_000_000]}],
        "for `embed`": [{"type": "embed", "inputs": [4_000_000_000]}],
        "for `embed_all`": [{"type": "embed_all", "inputs": [[4_000_000_000]]}],
        "for `embed_sparse`": [{"type": "embed_sparse", "inputs": [4_000_000_000]}],
        "beside others": [{"inputs": "a"}, {"inputs": ["a", [101, 4_000_000_000]]}],
        "by position": [[[4_000_000_000], None, "right", None, True, None]],
    }.items()
}

ENVELOPES: dict[str, Json] = {
    "instances null": {"instances": None},
    "instances an object": {"instances": {"inputs": "a"}},
    "instances a text": {"instances": "a"},
    "no instances": {"inputs": "a"},
    "parameters beside instances": {"instances": [{"inputs": "a"}], "parameters": {"dimensions": 4}},
    "instances twice": b'{"instances":[],"instances":[]}',
    "one position": [[{"inputs": "a"}]],
    "junk after it": b'{"instances":[{"inputs":"a"}]} junk',
    "a lone surrogate beside instances": rb'{"instances":[{"inputs":"a"}],"x":"\ud83d"}}',
    "a key beside instances nested deep": b'{"x":' + b"[" * 3000 + b"]" * 3000 + b',"instances":[{"inputs":"a"}]}',
    "a key of an instance twice": b'{"instances":[{"inputs":"a","inputs":"b"}]}',
    "a lone surrogate in an instance": rb'{"instances":[{"inputs":"\ud83d"}]}',
    "a lone surrogate in an unknown key of an instance": rb'{"instances":[{"inputs":"a","x":"\ud83d"}]}',
    "a number beyond all floats in an instance": b'{"instances":[{"inputs":"a","x":1e999}]}',
}


def cases(facts: Facts) -> Iterator[Case]:
    """The body, and the instances in it."""
    yield from posts("/vertex", {name: {"instances": value} for name, value in INSTANCES.items()})
    unknown: dict[str, Json] = {name: {"instances": value} for name, value in UNKNOWN_IDS.items()}
    unknown["unknown ids and words after them"] = b'{"instances":[{"inputs":[4000000000]}]} junk'
    unknown["unknown ids and a lone surrogate"] = rb'{"instances":[{"inputs":[4000000000]}],"x":"\ud83d"}'
    yield from posts("/vertex", unknown, differs="unknown ids")
    yield from posts("/vertex", ENVELOPES)
    yield post(
        "more instances than a full list",
        "/vertex",
        {"instances": [{"inputs": text} for text in numbered(facts.inputs_max + 8)]},
    )
    many = numbered(facts.inputs_max + 1)
    yield post("an instance with more than a full list", "/vertex", {"instances": [{"inputs": many}]})
    long = "alpha " * facts.tokens_max
    yield post("a long text", "/vertex", {"instances": [{"inputs": long}]})
    yield post("a long text, not cut", "/vertex", {"instances": [{"inputs": "a"}, {"inputs": long, "truncate": False}]})
