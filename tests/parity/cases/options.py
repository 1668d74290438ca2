"""The options of the embed routes: every value, null, wrong types, and their effect on long texts."""

from collections.abc import Iterator

from tests.parity.cases.case import Case, Facts, Json, post, posts, split

TEXT = "hello world"

TRUNCATION: dict[str, Json] = {
    "truncate true": {"truncate": True},
    "truncate false": {"truncate": False},
    "truncate null": {"truncate": None},
    "truncate text": {"truncate": "true"},
    "truncate number": {"truncate": 1},
    "truncate list": {"truncate": []},
    "direction left": {"truncation_direction": "left"},
    "direction right": {"truncation_direction": "right"},
    "direction Left": {"truncation_direction": "Left"},
    "direction Right": {"truncation_direction": "Right"},
    "direction LEFT": {"truncation_direction": "LEFT"},
    "direction empty": {"truncation_direction": ""},
    "direction null": {"truncation_direction": None},
    "direction number": {"truncation_direction": 1},
    "direction boolean": {"truncation_direction": True},
    "direction list": {"truncation_direction": ["left"]},
    "direction as a variant": {"truncation_direction": {"left": None}},
    "direction as a variant with content": {"truncation_direction": {"left": 1}},
    "direction as an empty object": {"truncation_direction": {}},
}

PROMPTS: dict[str, Json] = {
    "prompt null": {"prompt_name": None},
    "prompt unknown": {"prompt_name": "no such prompt"},
    "prompt empty": {"prompt_name": ""},
    "prompt with quotes": {"prompt_name": '`"\\é\n'},
    "prompt number": {"prompt_name": 1},
    "prompt object": {"prompt_name": {}},
}


def vectors(facts: Facts) -> dict[str, Json]:
    """Options that only dense vectors have."""
    size = max(facts.dimensions, 1)
    return {
        "normalize true": {"normalize": True},
        "normalize false": {"normalize": False},
        "normalize null": {"normalize": None},
        "normalize number": {"normalize": 0},
        "normalize text": {"normalize": "false"},
        "dimensions null": {"dimensions": None},
        "dimensions 0": {"dimensions": 0},
        "dimensions 1": {"dimensions": 1},
        "dimensions some": {"dimensions": max(size // 3, 1)},
        "dimensions all": {"dimensions": size},
        "dimensions one too many": {"dimensions": size + 1},
        "dimensions of 32 bits": {"dimensions": 2**32},
        "dimensions of 64 bits": {"dimensions": 2**64 - 1},
        "dimensions beyond 64 bits": {"dimensions": 2**64},
        "dimensions negative": {"dimensions": -1},
        "dimensions whole float": {"dimensions": 8.0},
        "dimensions float": {"dimensions": 8.5},
        "dimensions text": {"dimensions": "8"},
        "dimensions boolean": {"dimensions": True},
        "dimensions list": {"dimensions": [8]},
        "dimensions and not normalized": {"dimensions": 8 if size > 8 else 1, "normalize": False},
    }


def long_texts(path: str, facts: Facts) -> Iterator[Case]:
    """Texts near the two limits of length."""
    room = facts.tokens_max - 2
    texts = {
        "as long as can be": "alpha " * room,
        "one token too long": "alpha " * (room + 1),
        "far too long": "alpha " * (room // 2) + "omega " * room,
    }
    options: dict[str, dict[str, Json]] = {
        "as by default": {},
        "cut": {"truncate": True},
        "not cut": {"truncate": False},
    }
    left: dict[str, dict[str, Json]] = {
        "cut left": {"truncation_direction": "left"},
        "cut left by order": {"truncation_direction": "Left", **options["cut"]},
    }
    for name, text in texts.items():
        yield from posts(
            path, {f"{name}, {how}": {"inputs": text, **option} for how, option in (options | left).items()}
        )
    characters = facts.characters_max
    for name, text in {
        "as many characters as can be": "a " * (characters // 2),
        "one character too many": "a " * (characters // 2) + "b",
        "too many characters, cut between two": "ab" + "é" * characters,
        "too many characters, none cut": "a" + "é" * characters,
    }.items():
        yield from posts(path, {f"{name}, {how}": {"inputs": text, **option} for how, option in options.items()})
    long = texts["one token too long"]
    yield post("too long in a list, not cut", path, {"inputs": ["a", long, "b"], "truncate": False})
    yield post("too long before an empty text", path, {"inputs": ["a", long, ""], "truncate": False})
    yield post("too long after an empty text", path, {"inputs": ["", long], "truncate": False})
    yield post("a long text in a list, cut", path, {"inputs": ["a", long, "b"]}, differs="several calls")
    yield post("too many ids, not cut", path, {"inputs": [7592] * (facts.tokens_max + 1), "truncate": False})
    yield post("too many ids, cut", path, {"inputs": [[7592] * (facts.tokens_max + 1), [7592]], "truncate": True})


def meeting(facts: Facts) -> Iterator[Case]:
    """Which of two errors is reported, and options with more inputs than one call takes."""
    yield from posts(
        "/embed",
        {
            "dimensions 0 with an empty text": {"inputs": "", "dimensions": 0},
            "dimensions too many before an empty text": {"inputs": ["a", ""], "dimensions": facts.dimensions + 1},
            "dimensions too many after an empty text": {"inputs": ["", "a"], "dimensions": facts.dimensions + 1},
            "prompt unknown with an empty text": {"inputs": "", "prompt_name": "none"},
            "prompt unknown with dimensions 0": {"inputs": "a", "prompt_name": "none", "dimensions": 0},
            "wrong inputs before a wrong option": {"inputs": 1, "truncate": 1},
            "a wrong option before wrong inputs": {"truncate": 1, "inputs": 1},
            "an unknown key": {"inputs": TEXT, "no_such_option": {"a": [1, None]}},
            "an option of another route": {"inputs": TEXT, "raw_scores": "yes", "return_text": 7},
            "keys in another case": {"inputs": TEXT, "Normalize": False, "DIMENSIONS": 3},
        },
    )
    many = [f"text {number}" for number in range(facts.inputs_max + 3)]
    options: dict[str, dict[str, Json]] = {
        "with dimensions": {"dimensions": 1},
        "not normalized": {"normalize": False},
        "with a wrong prompt": {"prompt_name": "none"},
        "with too many dimensions": {"dimensions": facts.dimensions + 1},
    }
    for name, option in options.items():
        pieces = [{"inputs": many[: facts.inputs_max], **option}, {"inputs": many[facts.inputs_max :], **option}]
        yield split(f"more than a full list {name}", "/embed", {"inputs": many, **option}, pieces)
    yield post("more than a full list with dimensions 0", "/embed", {"inputs": many, "dimensions": 0})


def cases(facts: Facts) -> Iterator[Case]:
    """Options of all routes that embed."""
    common = TRUNCATION | PROMPTS
    dense = common | vectors(facts)
    yield from posts("/embed", {name: {"inputs": TEXT, **option} for name, option in dense.items()})
    for path in ("/embed_all", "/embed_sparse"):
        yield from posts(path, {name: {"inputs": TEXT, **option} for name, option in common.items()})
        yield post("dimensions are no option here", path, {"inputs": TEXT, "dimensions": "x", "normalize": 1})
    yield from long_texts("/embed", facts)
    mixed = ["a", "omega " * facts.tokens_max]
    yield post("a long text, not cut", "/embed_all", {"inputs": mixed, "truncate": False})
    left = {"inputs": mixed, "truncation_direction": "left"}
    yield post("a long text, cut left", "/embed_all", left, differs="several calls")
    yield from meeting(facts)
