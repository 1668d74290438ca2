"""Lines of keys, whatever their values look like."""

import tomllib

import pytest

from autobatch_shared.settings.files.toml_lines import lines_of


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", {}),
        ("# port = 1\n\nport = 2\n", {("port",): 3}),
        ('a = """\nb = 1\n"""\nb = 2', {("a",): 1, ("b",): 4}),
        ("a = [\n  1, # one\n]\n\n'b' = 2\n", {("a",): 1, ("b",): 5}),
        (
            "[[models]]\nname = 'a'\n[[models]]\n\nname = 'b'\nprompts = { x = 'y' }\n",
            {
                ("models",): 1,
                ("models", 0, "name"): 2,
                ("models", 1, "name"): 5,
                ("models", 1, "prompts"): 6,
            },
        ),
    ],
)
def test_a_key_is_on_the_line_where_its_statement_begins(text: str, lines: dict[tuple[str | int, ...], int]) -> None:
    assert lines_of(text) == lines


def test_what_is_not_toml_is_an_error() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        lines_of("port = \n")
