"""The colours and marks of `autobatch top`: the terminal's own, so that they suit a light one, too."""

MARKS = {"good": "●", "warn": "▲", "bad": "✖"}
LEVELS = {"good": "green", "warn": "yellow", "bad": "bold red"}
UP, DOWN, OWN, SOFT = "cyan", "yellow", "bright_black", "bright_black"


def cut(text: str, width: int) -> str:
    """Return a text that fits."""
    return text if len(text) <= width else text[: width - 1] + "…"
