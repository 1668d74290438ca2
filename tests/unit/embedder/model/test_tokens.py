"""Limits, truncation, prompts and offsets, on a tokenizer of a dozen words."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from autobatch_embedder.errors import TeiError
from autobatch_embedder.model.tokens import TextTokenizer
from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.encoder import Encoder
from autobatch_embedder.model_files.model_folder import ModelFolder

TOKENS_MAX = 6
CHARACTERS_MAX = TOKENS_MAX * 250
UNKNOWN, START, END, A, B, C, ASK = range(7)
WORDS = ["[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "ask:"]
ENCODER = Encoder(1, 1, 4, 4, len(WORDS), TOKENS_MAX, 2)


@pytest.fixture
def tokenizer(tmp_path: Path) -> TextTokenizer:
    return load(tmp_path, None)


@pytest.fixture
def prompted(tmp_path: Path) -> TextTokenizer:
    return load(tmp_path, {"query": "ask: ", "nothing": ""})


def load(path: Path, prompts: dict[str, str] | None) -> TextTokenizer:
    """Write a tokenizer.json that, like MiniLM's, truncates and pads to a length of its own."""
    words = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", START), ("[SEP]", END)]
    )
    words.add_special_tokens(["[CLS]", "[SEP]"])
    words.enable_truncation(3)
    words.enable_padding(length=20)
    words.save(str(path / "tokenizer.json"))
    return TextTokenizer(ModelFolder(path, "tiny", ENCODER, TOKENS_MAX, prompts, Config(path, {})))


def test_the_files_own_truncation_and_padding_do_not_count(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode(["a", "a b c a"], None, "right", truncate=False) == [
        [START, A, END],
        [START, A, B, C, A, END],
    ]


def test_truncation_keeps_the_asked_end_and_the_special_tokens(tokenizer: TextTokenizer) -> None:
    text = "a b c a b b"

    assert tokenizer.encode([text], None, "right", truncate=True) == [[START, A, B, C, A, END]]
    assert tokenizer.encode([text], None, "left", truncate=True) == [[START, C, A, B, B, END]]


def test_too_many_tokens_are_refused_without_truncation(tokenizer: TextTokenizer) -> None:
    with pytest.raises(TeiError, match=r"less than 6 tokens\. Given: 7"):
        tokenizer.encode(["a a a a a"], None, "right", truncate=False)


def test_ids_are_decoded_and_encoded_again_without_special_tokens(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode([[A, B], "c", [START, A, END]], None, "right", truncate=True) == [
        [A, B],
        [START, C, END],
        [START, A, END],
    ]


def test_ids_are_truncated_to_the_full_length(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode([[A] * 9], None, "right", truncate=True) == [[A] * TOKENS_MAX]


def test_ids_outside_the_vocabulary_have_no_tokens(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode([[999], [A, 999]], None, "right", truncate=True) == [[], [A]]


def test_prompts_are_put_before_texts_and_ids(prompted: TextTokenizer) -> None:
    assert prompted.encode(["a", [START, B, END]], "query", "right", truncate=True) == [
        [START, ASK, A, END],
        [START, ASK, B, END],
    ]
    assert prompted.encode([[B]], "nothing", "right", truncate=True) == [[START, B, END]]


def test_unknown_prompts_are_told_from_missing_ones(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    with pytest.raises(TeiError, match="no prompts were found"):
        tokenizer.encode(["a"], "query", "right", truncate=True)
    with pytest.raises(TeiError, match=r'Available prompts: \["other"\]'):
        load(tmp_path, {"other": ""}).encode(["a"], "query", "right", truncate=True)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["a", "", "a a a a a"], "cannot be empty"),
        (["a", "a a a a a", ""], r"tokens\. Given: 7"),
        (["a", "a" * (CHARACTERS_MAX + 1), ""], f"less than {CHARACTERS_MAX} characters"),
        ([[A], []], "cannot be empty"),
    ],
)
def test_the_first_faulty_input_is_the_one_told(
    tokenizer: TextTokenizer, inputs: list[str | list[int]], message: str
) -> None:
    with pytest.raises(TeiError, match=message):
        tokenizer.encode(inputs, None, "right", truncate=False)


def test_a_text_over_the_character_limit_is_cut_at_that_byte(tokenizer: TextTokenizer) -> None:
    """Truncation is visible only on the left side: without it the last word would be kept."""
    text = "b " * (CHARACTERS_MAX // 2) + "c"

    assert tokenizer.encode([text], None, "left", truncate=True) == [[START, B, B, B, B, END]]


def test_a_text_is_left_whole_where_the_cut_would_split_a_character(tokenizer: TextTokenizer) -> None:
    """The 'é' of two bytes is across the limit, so TEI does not truncate."""
    text = "b" * (CHARACTERS_MAX - 1) + "é b c"

    assert tokenizer.encode([text], None, "left", truncate=True) == [[START, UNKNOWN, B, C, END]]


def test_tokens_carry_byte_offsets_and_none_for_special_ones(tokenizer: TextTokenizer) -> None:
    assert tokenizer.tokenize(["é😀 A"], None, add_special_tokens=True) == [
        [
            {"id": START, "text": "[CLS]", "special": True, "start": None, "stop": None},
            {"id": UNKNOWN, "text": "é😀", "special": False, "start": 0, "stop": 6},
            {"id": A, "text": "A", "special": False, "start": 7, "stop": 8},
            {"id": END, "text": "[SEP]", "special": True, "start": None, "stop": None},
        ]
    ]


def test_tokenize_counts_the_prompt_and_never_truncates(prompted: TextTokenizer) -> None:
    (tokens,) = prompted.tokenize(["a " * 9], "query", add_special_tokens=False)

    assert [ASK, *[A] * 9] == [token["id"] for token in tokens]
    assert (tokens[1]["start"], tokens[1]["stop"]) == (5, 6)


@pytest.mark.parametrize("text", ["", "a" * (CHARACTERS_MAX + 1)])
def test_tokenize_refuses_what_encode_refuses_without_truncation(tokenizer: TextTokenizer, text: str) -> None:
    with pytest.raises(TeiError, match=r"^Input validation error"):
        tokenizer.tokenize(["a", text], None, add_special_tokens=True)


def test_decoding_skips_special_tokens_and_unknown_ids(tokenizer: TextTokenizer) -> None:
    rows = [[START, A, B, END], [999]]

    assert tokenizer.decode(rows, skip_special_tokens=True) == ["a b", ""]
    assert tokenizer.decode(rows, skip_special_tokens=False) == ["[CLS] a b [SEP]", ""]


def test_decoding_refuses_an_empty_list(tokenizer: TextTokenizer) -> None:
    with pytest.raises(TeiError, match=r"^Input validation error: `input_ids` cannot be empty$"):
        tokenizer.decode([[A], []], skip_special_tokens=True)
