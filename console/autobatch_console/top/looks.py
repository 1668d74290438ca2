"""The colours and marks of `autobatch top`: the terminal's own, so that they suit a light one, too."""

from textwrap import wrap

MARKS = {"good": "●", "warn": "▲", "bad": "✖"}
LEVELS = {"good": "green", "warn": "yellow", "bad": "bold red"}
UP, DOWN, OWN, SOFT = "cyan", "yellow", "bright_black", "bright_black"


def wrapped(text: str, width: int, lines_max: int) -> list[str]:
    """Return a text in lines that fit, at most so many; what is left is cut."""
    lines = wrap(text, width, break_on_hyphens=False)
    if len(lines) > lines_max:
        lines = [*lines[: lines_max - 1], cut(" ".join(lines[lines_max - 1 :]), width)]
    return lines


def cut(text: str, width: int) -> str:
    """Return a text that fits."""
    return text if len(text) <= width else text[: width - 1] + "…"
