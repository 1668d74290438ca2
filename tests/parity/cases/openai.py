"""OpenAI's embeddings, on both of TEI's paths."""

from collections.abc import Iterator

from tests.parity.cases.bodies import SYNTAX
from tests.parity.cases.case import JSON, Case, Facts, Json, bare, post, posts
from tests.parity.cases.inputs import ESCAPES, TEXTS, lists, union

PATH, ALIAS = "/v1/embeddings", "/embeddings"


def options(facts: Facts) -> dict[str, Json]:
    """Every option besides `input`."""
    size = max(facts.dimensions, 1)
    return {
        "model": {"model": "text-embedding-3-small"},
        "model empty": {"model": ""},
        "model null": {"model": None},
        "model number": {"model": 1},
        "format float": {"encoding_format": "float"},
        "format base64": {"encoding_format": "base64"},
        "format in capitals": {"encoding_format": "Base64"},
        "format unknown": {"encoding_format": "int8"},
        "format number": {"encoding_format": 1},
        "format as a variant": {"encoding_format": {"base64": None}},
        "user": {"user": "somebody"},
        "user null": {"user": None},
        "user number": {"user": 7},
        "dimensions null": {"dimensions": None},
        "dimensions 0": {"dimensions": 0},
        "dimensions 1": {"dimensions": 1},
        "dimensions 1 in base64": {"dimensions": 1, "encoding_format": "base64"},
        "dimensions all": {"dimensions": size},
        "dimensions one too many": {"dimensions": size + 1},
        "dimensions huge": {"dimensions": 2**63},
        "dimensions beyond 64 bits": {"dimensions": 2**64},
        "dimensions negative": {"dimensions": -1},
        "dimensions float": {"dimensions": 1.5},
        "dimensions text": {"dimensions": "8"},
        "an unknown key": {"no_such_option": [1]},
        "options that TEI has elsewhere": {"truncate": False, "normalize": "no", "prompt_name": "none"},
        "everything": {"model": "m", "encoding_format": "base64", "dimensions": 1, "user": "u"},
    }


def bodies(facts: Facts) -> Iterator[Case]:
    """Bodies of other shapes."""
    yield from posts(PATH, {f"body: {name}": body.replace(b'"inputs"', b'"input"') for name, body in SYNTAX.items()})
    yield from posts(
        PATH,
        {
            "no input": {"model": "m"},
            "inputs is not input": {"inputs": "a"},
            "input twice": b'{"input":"a","input":"b"}',
            "model twice": b'{"input":"a","model":"m","model":"n"}',
            "an unknown key twice": b'{"input":"a","x":"m","x":"n"}',
            "body: a text": "hello",
            "body: null": None,
            "one position": ["hello"],
            "all positions": ["hello", None, "float", None, None],
            "all positions, otherwise": ["hello", None, None, "float", None],
            "too many positions": ["hello", None, "float", None, None, None],
            "junk after it": b'{"input":"a"} junk',
            "a brace after it": b'{"input":["a","b"],"model":"m"}}',
            "a lone surrogate in an unknown key": rb'{"input":"a","x":"\ud83d"}',
            "a lone surrogate in the user": rb'{"input":"a","user":"\ud83d"}',
            "invalid utf-8 in the model": b'{"input":"a","model":"\xff"} junk',
            "an unknown key nested deep": b'{"input":"a","x":' + b"[" * 3000 + b"]" * 3000 + b"}",
            "in base64, of a list": {"input": ["a", "b", [101, 7592, 102]], "encoding_format": "base64"},
            "wrong input and wrong option": {"input": 1, "encoding_format": 2},
            "dimensions 0 with an empty text": {"input": "", "dimensions": 0},
            "dimensions too many before an empty text": {"input": ["a", ""], "dimensions": facts.dimensions + 1},
        },
    )
    unknown = {
        "unknown ids and words after them": b'{"input":[4000000000],"model":"m"} junk',
        "unknown ids and a lone surrogate": rb'{"input":[4000000000],"x":"\ud83d"}',
        "unknown ids by position": b'[[4000000000],"m",null,"float",null]',
        "unknown ids and a variant": b'{"input":[4000000000],"encoding_format":{"float":null}} junk',
    }
    yield from posts(PATH, unknown, differs="unknown ids")
    yield post("no content type", PATH, {"input": "a"}, ())
    yield post("text/plain", PATH, {"input": "a"}, (("content-type", "text/plain"),))
    yield post("with a charset", PATH, {"input": "a"}, (("content-type", "application/json; charset=utf-8"),))
    yield post("with a key", PATH, {"input": "a"}, (*JSON, ("authorization", "Bearer sk-none")))
    yield post("a long text", PATH, {"input": "alpha " * facts.tokens_max})
    yield post("too many characters", PATH, {"input": "a " * (facts.characters_max // 2 + 1)})
    yield post("too many ids", PATH, {"input": [7592] * (facts.tokens_max + 1)})


def cases(facts: Facts) -> Iterator[Case]:
    """Both paths; the second has fewer cases because the handler is the same."""
    yield from union(PATH, "input")
    yield from lists(PATH, "input", facts)
    yield from posts(PATH, {name: {"input": "hello world", **option} for name, option in options(facts).items()})
    yield from posts(PATH, {f"text: {name}": {"input": text} for name, text in TEXTS.items()})
    yield from posts(PATH, {f"text: {name}": b'{"input":%b}' % raw for name, raw in ESCAPES.items()})
    yield from bodies(facts)
    yield from posts(
        ALIAS,
        {
            "text": {"input": "hello world", "model": "m"},
            "list in base64": {"input": ["a", [101, 7592, 102]], "encoding_format": "base64"},
            "empty text": {"input": ""},
            "null": {"input": None},
        },
    )
    for path in (PATH, ALIAS):
        yield post("format null", path, {"input": "a", "encoding_format": None}, differs="openai null")
        yield post("has an id", path, {"input": "a"}, differs="openai id")
    for path in (PATH, ALIAS):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            yield bare(method, path)
    yield bare("GET", "/v1/models", differs="models")
    yield bare("GET", "/v1/models/none", differs="models")
