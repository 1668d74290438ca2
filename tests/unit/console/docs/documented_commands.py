"""The command lines that the documents show, as a shell would read them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


class DocumentedCommand(NamedTuple):
    """One line.

    Attributes:
        document: The file's name.
        variables: What stands before the command, by name.
        words: The command without its folder, and its arguments.
    """

    document: str
    variables: dict[str, str]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {' '.join(self.words[:6])}"


def documented(*programs: str) -> list[DocumentedCommand]:
    """Return each command of these programs that a document shows."""
    return [each for file in DOCUMENTS for each in commands_in(file) if each.words[0] in programs]


def commands_in(file: Path) -> Iterator[DocumentedCommand]:
    """Return the commands of one document; of a pipe the first, and none of a line that a shell has to work out."""
    for block in BLOCK.findall(file.read_text(encoding="utf-8")):
        for line in _lines(block.replace("\\\n", " ")):
            if any("$(" in word for word in line):
                continue
            words = line[: line.index("|")] if "|" in line else line
            while words and words[0] in ("export", "exec"):
                words.pop(0)
            variables = {}
            while words and VARIABLE.match(words[0]):
                name, _, value = words.pop(0).partition("=")
                variables[name] = value
            if words:
                yield DocumentedCommand(file.name, variables, (Path(words[0]).name, *words[1:]))


def _lines(block: str) -> Iterator[list[str]]:
    """The words of each line; of several, where a quotation goes on over their ends."""
    begun = ""
    for line in block.splitlines():
        begun += line
        try:
            yield shlex.split(begun, comments=True)
            begun = ""
        except ValueError:  # no closing quotation
            begun += "\n"
