"""The texts that are sent."""

from pathlib import Path

import orjson
import pytest

from autobatch_batcher.advising.measuring.sample_texts import (
    TEXTS,
    SampleTexts,
    built_in_texts,
    call_shapes,
    own_texts,
)


def test_built_in_texts_are_of_mixed_lengths_and_as_long_as_they_say() -> None:
    texts = built_in_texts()
    assert "mixed texts" == texts.kind
    assert texts.lengths == [len(orjson.loads(texts.text(place))) for place in range(TEXTS)]
    assert sorted(texts.lengths) == texts.lengths


def test_no_two_texts_are_equal() -> None:
    texts = SampleTexts(["one"], "one text")
    assert texts.text(0) != texts.text(0)


def test_a_file_has_one_text_a_line_or_json_strings(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text('a short one\n\n"two\\nlines"\n' + 40 * "long ")
    texts = own_texts(file)
    assert "3 texts of own.txt" == texts.about
    assert {"two\nlines", "a short one", 40 * "long "} == {
        orjson.loads(texts.text(place)).rpartition(" ")[0] for place in range(TEXTS)
    }


@pytest.mark.parametrize("inputs_max", [1, 8, 1000])
def test_calls_are_within_what_the_server_takes_and_the_cheapest_come_first(inputs_max: int) -> None:
    texts = built_in_texts()
    shapes = call_shapes(texts, inputs_max)
    assert max(map(len, shapes)) <= inputs_max
    sizes = [sum(texts.lengths[place] for place in shape) for shape in shapes]
    assert sorted(sizes) == sizes
    assert len(set(shapes)) == len(shapes)
