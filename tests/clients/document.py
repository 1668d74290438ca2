"""`python -m tests.clients.document FOLDER`: print docs/clients.md, made of the rows that a run left in a folder."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.clients.matrix import Outcome, Row, kept

HEAD = """# Clients and their defaults

Made by `make clients-docs`: each SDK with its own default model name and options against `autobatch up` with the embedded
model. What it sent is what a relay between the two saw, not what its documentation says.

- **one**: one call with one text. **crowd**: 100 concurrent calls with one text each. **list**: one call with 100 texts.
- **works**: every vector was equal to that of the upstream asked alone.
- **alone**: the share of the crowd's requests that travelled in an upstream call of their own. The first of a burst always do
  (nothing is in flight, so that waiting would only be a wait), and a client that makes its calls one by one
  has little to share.
"""


def document_of(rows: Sequence[Row]) -> str:
    """Return the document."""
    run = [row for row in rows if not row.skipped]
    lines = [
        HEAD,
        "| client | version | model | sends | one | crowd | alone | list |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in run),
    ]
    lines += _listed("What must be set, and why", [(row, row.needs) for row in run if row.needs])
    failures = [(row, f"`{mode}`: {text}") for row in run for mode, text in row.failures.items()]
    lines += _listed("What failed", failures)
    lines += _listed("What did not run", [(row, row.skipped) for row in rows if row.skipped])
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    sent = dict(row.sent)
    form = sent.pop("input", sent.pop("inputs", "-"))
    model = _code(sent.pop("model")) if "model" in sent else "-"
    sends = "; ".join([f"`{row.path}`", str(form), *(f"{name} {_code(value)}" for name, value in sent.items())])
    crowd = row.outcomes["crowd"]
    cells = [
        f"{row.client} ({row.language})",
        row.version,
        model,
        sends,
        _outcome(row.outcomes["one"]),
        _outcome(crowd),
        f"{1 - crowd.shared / crowd.requests:.0%}" if crowd.requests and not crowd.failure else "-",
        _requests(row.outcomes["list"]),
    ]
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _outcome(outcome: Outcome) -> str:
    return "**fails**" if outcome.failure else "works"


def _requests(outcome: Outcome) -> str:
    several = f", in {outcome.requests} requests" if outcome.requests > 1 else ""
    return _outcome(outcome) + several


def _code(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _listed(title: str, about: Sequence[tuple[Row, str]]) -> list[str]:
    if not about:
        return []
    return ["", f"## {title}", "", *(f"- {row.client} {row.version} ({row.language}): {text}" for row, text in about)]


if __name__ == "__main__":
    sys.stdout.write(document_of(kept(Path(sys.argv[1]))))
