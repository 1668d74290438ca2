"""A report as one HTML file with its pictures beside it: no script, nothing to fetch from elsewhere. Pure."""

from collections.abc import Mapping, Sequence
from html import escape

from autobatch_bench.report.grids import Grid

MEASURED = "measured"
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 2rem auto; max-width: 76rem;
       padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { margin-top: 2.6rem; border-bottom: 2px solid #e3e7ec; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
figure { margin: 1.6rem 0 0; } img { max-width: 46rem; width: 100%; display: block; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #e3e7ec; white-space: nowrap; }
th { background: #f4f6f8; } td:first-child, th:first-child { text-align: left; }
.facts td { white-space: normal; text-align: left; } li { margin: .2rem 0; }
"""


class Section:
    """A heading, and under it pictures with their tables, and plain tables."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def add(self, grid: Grid | None, picture: str = "") -> None:
        """Put a picture, by the name of its file, and its table below what is there."""
        title = grid.title if grid else ""
        body = f"<h3>{escape(title)}</h3>" if title else ""
        if picture:
            body += f'<img alt="{escape(title)}" src="{escape(picture)}">'
        if grid:
            body += _table(grid)
        self._parts.append(f"<figure>{body}</figure>")

    def say(self, lines: Sequence[str]) -> None:
        """Append a list of sentences."""
        self._parts.append(f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")

    def html(self) -> str:
        """The section as HTML."""
        return f'<section id="{self.anchor}"><h2>{escape(self.title)}</h2>{"".join(self._parts)}</section>'

    @property
    def anchor(self) -> str:
        """What a link to it ends in."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


def render(title: str, lead: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """Return the whole page: what the sections are, the sections, and under which circumstances all that was measured."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    body = "".join(section.html() for section in sections)
    links = [f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>' for section in sections]
    links.append(f'<li><a href="#{MEASURED}">How it was measured</a></li>')
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><nav><ul>{''.join(links)}</ul></nav>{body}"
        f'<section id="{MEASURED}"><h2>How it was measured</h2><p>{escape(lead)}</p>'
        f'<div class="wide"><table class="facts">{rows}</table></div></section></body></html>\n'
    )


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in grid.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in grid.rows)
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'
