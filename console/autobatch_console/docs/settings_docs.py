"""`python -m autobatch_console.docs.settings_docs`: write `.env.example` and the settings table of README.md from the settings.

With `--check`, write nothing and exit with 1 when they are out of date.
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from autobatch_console.docs.settings_rows import SettingRow, rows_of
from autobatch_shared.settings.definitions import PROCESSES

ROOT = Path(__file__).parents[3]
BEGIN = "<!-- settings:begin -->"
END = "<!-- settings:end -->"
WIDTH = 100

ENV_HEAD = """# Every setting with its default: copy to `.env` and change what you need.
# A flag beats the environment, the environment beats `.env`, `.env` beats `config.toml` (same names, lower case).
# A name that is neither here nor docker compose's stops the start.
# Made by `make docs` from autobatch/autobatch_shared/settings/definitions.py.
"""


class MarkersError(Exception):
    """README.md has no place for the table."""


def env_example(rows: Sequence[SettingRow]) -> str:
    """Return the text of `.env.example`."""
    blocks = [ENV_HEAD]
    for row in rows:
        also = f" Also {', '.join(row.names[1:])}." if row.names[1:] else ""
        about = f"{_who(row)}: {row.meaning}{_range(row)}.{also}"
        blocks.append(
            "".join(f"# {line}\n" for line in textwrap.wrap(about, WIDTH)) + f"#{row.names[0]}={row.default}\n"
        )
    return "\n".join(blocks)


def readme_table(rows: Sequence[SettingRow]) -> str:
    """Return the table in Markdown."""
    lines = ["| name | default | who | meaning |", "|---|---|---|---|"]
    for row in rows:
        first, *others = (f"`{name}`" for name in row.names)
        names = first + (f" (also {', '.join(others)})" if others else "")
        default = f"`{row.default}`" if row.default else "none"
        lines.append(f"| {names} | {default} | {_who(row)} | {row.meaning.replace('|', chr(92) + '|')}{_range(row)} |")
    return "\n".join(lines)


def with_table(readme: str, table: str) -> str:
    """Return README.md with the table between its markers.

    Raises:
        MarkersError: It has none.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarkersError(f"README.md needs a line {BEGIN} and a line {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(argv: Sequence[str], root: Path = ROOT) -> int:
    """Write or check; return the exit status."""
    rows, readme = rows_of(PROCESSES), root / "README.md"
    try:
        is_current = _settle(root / ".env.example", env_example(rows), argv)
        is_current &= _settle(readme, with_table(readme.read_text(encoding="utf-8"), readme_table(rows)), argv)
    except MarkersError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if is_current else 1


def _settle(file: Path, wanted: str, argv: Sequence[str]) -> bool:
    """Make a file what it should be, or with `--check` say that it is not."""
    if file.is_file() and file.read_text(encoding="utf-8") == wanted:
        return True
    if "--check" in argv:
        sys.stderr.write(f"{file.name} is out of date: run `make docs`\n")
        return False
    file.write_text(wanted, encoding="utf-8")
    return True


def _who(row: SettingRow) -> str:
    return "all" if set(row.who) == set(PROCESSES) else ", ".join(row.who)


def _range(row: SettingRow) -> str:
    return f" ({row.range})" if row.range else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
