"""The routes that score: /predict, /rerank and /similarity."""

from collections.abc import Iterator

from tests.parity.cases.case import Case, Facts, Json, chunks, numbered, post, posts, split

SCORING_OPTIONS: dict[str, Json] = {
    "truncate false": {"truncate": False},
    "truncate null": {"truncate": None},
    "truncate text": {"truncate": "no"},
    "direction Left": {"truncation_direction": "Left"},
    "direction null": {"truncation_direction": None},
    "direction unknown": {"truncation_direction": "up"},
    "raw scores": {"raw_scores": True},
    "raw scores null": {"raw_scores": None},
    "raw scores number": {"raw_scores": 1},
    "an unknown key": {"no_such_option": 1},
    "prompt is no option": {"prompt_name": "none"},
}

PREDICT_INPUTS: dict[str, Json] = {
    "text": "I like you.",
    "list of one": ["I like you."],
    "one pair": ["I like you.", "I like pineapples."],
    "three texts are neither": ["a", "b", "c"],
    "list of lists of one": [["a"], ["b"]],
    "list of pairs": [["a", "b"], ["c", "d"]],
    "list of texts and pairs": [["a"], ["b", "c"], ["d"]],
    "list of three": [["a", "b", "c"]],
    "texts beside lists": ["a", ["b"]],
    "twice the same": [["same"], ["same"]],
    "empty text": "",
    "empty list": [],
    "empty list in a list": [[]],
    "empty text in a list": [""],
    "empty text in a pair": ["", "a"],
    "empty text in a later list": [["a"], [""]],
    "ids": [101, 102],
    "list of ids": [[101], [102]],
    "null": None,
    "number": 5,
    "object": {"text": "a"},
    "null in a list": [None],
}

RERANK: dict[str, Json] = {
    "texts": {"query": "what is deep learning?", "texts": ["Deep learning is ...", "cheese", "neural nets learn"]},
    "one text": {"query": "q", "texts": ["a"]},
    "texts with text": {"query": "é q", "texts": ["a é", "b"], "return_text": True},
    "texts without text": {"query": "q", "texts": ["a", "b"], "return_text": False},
    "equal texts": {"query": "q", "texts": ["same", "same", "same", "other"], "return_text": True},
    "no texts": {"query": "q", "texts": []},
    "no texts and a wrong option": {"query": "q", "texts": [], "raw_scores": 1},
    "empty query": {"query": "", "texts": ["a"]},
    "empty query and no texts": {"query": "", "texts": []},
    "empty text": {"query": "q", "texts": ["a", ""]},
    "return text null": {"query": "q", "texts": ["a"], "return_text": None},
    "return text number": {"query": "q", "texts": ["a"], "return_text": 1},
    "no query": {"texts": ["a"]},
    "no texts key": {"query": "q"},
    "query null": {"query": None, "texts": ["a"]},
    "query list": {"query": ["q"], "texts": ["a"]},
    "texts text": {"query": "q", "texts": "a"},
    "texts null": {"query": "q", "texts": None},
    "texts with a number": {"query": "q", "texts": ["a", 1]},
    "texts of ids": {"query": "q", "texts": [[1, 2]]},
    "query twice": b'{"query":"q","query":"r","texts":["a"]}',
    "two positions": ["q", ["a", "b"]],
    "one position": ["q"],
    "all positions": ["q", ["a", "b"], None, "right", True, True],
    "too many positions": ["q", ["a"], None, "right", False, False, 1],
    "junk after it": b'{"query":"q","texts":["a"]}}',
}

SIMILARITY: dict[str, Json] = {
    "sentences": {
        "source_sentence": "a happy person",
        "sentences": ["a happy dog", "today is sunny", "a happy person"],
    },
    "one sentence": {"source_sentence": "a", "sentences": ["b"]},
    "no sentences": {"source_sentence": "a", "sentences": []},
    "empty source": {"source_sentence": "", "sentences": ["b"]},
    "empty source and no sentences": {"source_sentence": "", "sentences": []},
    "empty sentence": {"source_sentence": "a", "sentences": ["b", ""]},
    "no source": {"sentences": ["b"]},
    "no sentences key": {"source_sentence": "a"},
    "source null": {"source_sentence": None, "sentences": ["b"]},
    "source list": {"source_sentence": ["a"], "sentences": ["b"]},
    "sentences text": {"source_sentence": "a", "sentences": "b"},
    "sentences with a number": {"source_sentence": "a", "sentences": ["b", 1]},
    "inputs are a text": "a",
    "inputs are null": None,
    "inputs are a list": ["a", ["b", "c"]],
    "inputs are a short list": ["a"],
    "an unknown key": {"source_sentence": "a", "sentences": ["b"], "x": 1},
}

PARAMETERS: dict[str, Json] = {
    "null": None,
    "empty": {},
    "truncate false": {"truncate": False},
    "truncate null": {"truncate": None},
    "truncate number": {"truncate": 1},
    "direction left": {"truncation_direction": "left"},
    "direction null": {"truncation_direction": None},
    "prompt unknown": {"prompt_name": "none"},
    "prompt null": {"prompt_name": None},
    "normalize is no option": {"normalize": "x"},
    "a list": [None, "right", None],
    "a text": "x",
    "an unknown key": {"x": 1},
}


def predict(facts: Facts) -> Iterator[Case]:
    """Classes and scores of texts and of pairs."""
    yield from posts("/predict", {name: {"inputs": value} for name, value in PREDICT_INPUTS.items()})
    for name, option in SCORING_OPTIONS.items():
        yield post(name, "/predict", {"inputs": "I like you.", **option})
    yield post("raw scores of a list", "/predict", {"inputs": [["a"], ["b", "c"]], "raw_scores": True})
    yield post("inputs twice", "/predict", b'{"inputs":"a","inputs":"b"}')
    yield post("four positions", "/predict", ["a", None, "right", False])
    yield post("junk after it", "/predict", b'{"inputs":"a"} junk')
    items = [[text] for text in numbered(facts.inputs_max + 1)]
    yield post("a full list", "/predict", {"inputs": items[:-1]})
    pieces = [{"inputs": piece} for piece in chunks(items, facts.inputs_max)]
    yield split("one more than a full list", "/predict", {"inputs": items}, pieces)
    long = "alpha " * facts.tokens_max
    yield post("a long text", "/predict", {"inputs": long})
    yield post("a long text, not cut", "/predict", {"inputs": long, "truncate": False})


def rerank(facts: Facts) -> Iterator[Case]:
    """Texts ranked by how well they answer a query."""
    yield from posts("/rerank", RERANK)
    base = {"query": "what is a panda?", "texts": ["hi", "The giant panda is a bear.", "pandas"]}
    yield from posts("/rerank", {name: {**base, **option} for name, option in SCORING_OPTIONS.items()})
    full = numbered(facts.inputs_max)
    yield post("a full list", "/rerank", {"query": "number 7", "texts": full})
    for name, texts in {
        "two full lists and one": numbered(2 * facts.inputs_max + 1),
        "a full list twice": full * 2,
        "one more, and it is empty": [*full, ""],
    }.items():
        for options in ({}, {"return_text": True, "raw_scores": True}):
            body = {"query": "number 7", **options}
            pieces = [{**body, "texts": piece} for piece in chunks(texts, facts.inputs_max)]
            yield split(f"{name} {[*options]}", "/rerank", {**body, "texts": texts}, pieces, "ranks")


def similarity(facts: Facts) -> Iterator[Case]:
    """Cosines of a sentence with others."""
    yield from posts("/similarity", {name: {"inputs": value} for name, value in SIMILARITY.items()})
    inputs = {"source_sentence": "a b c", "sentences": ["b", "c"]}
    yield from posts(
        "/similarity",
        {f"parameters {name}": {"inputs": inputs, "parameters": value} for name, value in PARAMETERS.items()},
    )
    long = {"source_sentence": "alpha " * facts.tokens_max, "sentences": ["b"]}
    yield post("a long text", "/similarity", {"inputs": long})
    yield post("a long text, not cut", "/similarity", {"inputs": long, "parameters": {"truncate": False}})
    yield post("parameters twice", "/similarity", b'{"inputs":{},"parameters":null,"parameters":null}')
    yield post("two positions", "/similarity", [["a", ["b"]], None])
    size = facts.inputs_max - 1  # besides the source sentence
    full = {"source_sentence": "number 7", "sentences": numbered(size)}
    yield post("a full list", "/similarity", {"inputs": full})
    for name, sentences in {
        "one more than a full list": numbered(size + 1),
        "three full lists": numbered(3 * size),
        "one more, and it is empty": [*numbered(size), ""],
    }.items():
        for options in ({}, {"parameters": {"truncate": False, "truncation_direction": "Left"}}):
            pieces = [
                {"inputs": {"source_sentence": "number 7", "sentences": piece}, **options}
                for piece in chunks(sentences, size)
            ]
            body = {"inputs": {"source_sentence": "number 7", "sentences": sentences}, **options}
            yield split(f"{name} {[*options]}", "/similarity", body, pieces)
    many = {"source_sentence": "a", "sentences": ["a"] * 2048}
    yield post("one more than the proxy takes", "/similarity", {"inputs": many}, differs="own limit")


def cases(facts: Facts) -> Iterator[Case]:
    """All three routes."""
    yield from predict(facts)
    yield from rerank(facts)
    yield from similarity(facts)
