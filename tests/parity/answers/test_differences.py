"""docs/differences.md lists what differs on purpose, and everything that it lists does differ."""

import re

from tests.parity.answers.comparing import ADDED
from tests.parity.answers.differences import TABLE
from tests.parity.cases.case import Facts
from tests.parity.cases.table import all_cases
from tests.support.paths import ROOT

_ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)


def rows_below(heading: str) -> dict[str, str]:
    """Names and reasons of the table below a heading."""
    _, _, rest = (ROOT / "docs/differences.md").read_text().partition(f"## {heading}\n")
    return dict(_ROW.findall(rest.partition("\n## ")[0]))


def test_the_documented_differences_are_the_declared_ones() -> None:
    assert {name: each.reason for name, each in TABLE.items()} == rows_below("On purpose")


def test_the_documented_headers_are_the_declared_ones() -> None:
    assert ADDED == rows_below("Headers that the proxy adds")


def test_every_declared_difference_is_seen_in_a_case() -> None:
    asked = {case.differs for case in all_cases(Facts()).values()} | {"openai error"}
    assert TABLE.keys() <= asked


def test_the_readme_links_to_them() -> None:
    assert "](docs/differences.md)" in (ROOT / "README.md").read_text()
