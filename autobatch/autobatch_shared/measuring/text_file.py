"""A file of texts to measure a server with: one a line."""

from pathlib import Path

import msgspec

_text_of = msgspec.json.Decoder(str).decode


class TextsError(ValueError):
    """A file of texts cannot be used; the text says why."""


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file: one a line, as it is, or as a JSON string where it has ends of lines of its own.

    Raises:
        TextsError: It cannot be read, or has no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as exc:
        raise TextsError(f"{path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise TextsError(f"{path}: is not UTF-8: {exc}") from exc
    texts = [_text(line) for line in lines if line.strip()]
    if not texts:
        raise TextsError(f"{path}: has no text")
    return texts


def _text(line: str) -> str:
    """Prose may begin with a quotation mark, too: only a line that is a JSON string as a whole is one."""
    if line.startswith('"'):
        try:
            return _text_of(line)
        except msgspec.DecodeError:
            return line
    return line
