"""Files of texts to measure with."""

from pathlib import Path

import pytest

from autobatch_shared.measuring.text_file import TextsError, read_texts


def test_a_line_is_a_text_as_it_is_or_a_json_string(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    lines = ["\ufeffplain", "", '"two\\nlines"', '"Hello," she said.', '"half', '"one\u2028line"', "crlf\r"]
    file.write_bytes("\n".join(lines).encode())
    assert ["plain", "two\nlines", '"Hello," she said.', '"half', "one\u2028line", "crlf"] == read_texts(file)


@pytest.mark.parametrize(
    ("content", "told"), [(b"\n \n", "has no text"), (b"\xe1\n", "is not UTF-8"), (None, "No such file")]
)
def test_a_file_without_texts_is_refused(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "own.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TextsError, match=f"own.txt: {told}"):
        read_texts(file)
