"""`python -m tests.clients.matrix.document FOLDER`: print docs/clients.md, made of the rows that a run left in a folder."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.clients.matrix.measuring import ClientRow, ModeOutcome, kept

HEAD = """# Clients and their defaults

Made by `make clients-docs`: each SDK with its own default model name and options against `autobatch up` with the embedded
model. What it sent is what a relay between the two saw.

- *one* is one call with one text, *crowd* 100 concurrent calls with one text each, *list* one call with 100 texts.
- *works*: every vector was equal to that of the upstream asked alone.
- *alone* is the share of the crowd's requests that travelled in an upstream call of their own. The first of a burst
  does, since nothing is in flight that it could wait for. [batching.md](batching.md) lists what else does."""

COLUMNS = ("client", "version", "model", "sends", "one", "crowd", "alone", "list")


def document_of(rows: Sequence[ClientRow]) -> str:
    """Return the document: a table for each language, and what there is to say about its rows."""
    sections = [HEAD]
    run = [row for row in rows if not row.skipped]
    for language in dict.fromkeys(row.language for row in run):
        of_language = [row for row in run if row.language == language]
        sections.append(f"## {language}\n\n{_table(of_language)}")
    sections += _listed("What must be set beside base URL and key", ((row.needs, row) for row in run if row.needs))
    sections += _listed("What failed", ((text, row) for row in run for text in _failures(row)))
    sections += _listed("What did not run", ((row.skipped, row) for row in rows if row.skipped))
    return "\n\n".join(sections) + "\n"


def _table(rows: Sequence[ClientRow]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(row: ClientRow) -> tuple[str, ...]:
    sent = dict(row.sent)
    form = sent.pop("input", sent.pop("inputs", "-"))
    model = _code(sent.pop("model")) if "model" in sent else "not sent"
    sends = "; ".join([f"`{row.path}`", str(form), *(f"{name} {_code(value)}" for name, value in sent.items())])
    one, crowd, many = (row.outcomes[mode] for mode in ("one", "crowd", "list"))
    alone = f"{1 - crowd.shared / crowd.requests:.0%}" if crowd.requests and not crowd.failure else "-"
    return (row.client, row.version, model, sends, _outcome(one), _outcome(crowd), alone, _list_outcome(many))


def _outcome(outcome: ModeOutcome) -> str:
    return "**fails**" if outcome.failure else "works"


def _list_outcome(outcome: ModeOutcome) -> str:
    several = f", in {outcome.requests} requests" if outcome.requests > 1 and not outcome.failure else ""
    return _outcome(outcome) + several


def _failures(row: ClientRow) -> Iterable[str]:
    """Return each different failure once, with its modes."""
    modes = defaultdict(list)
    for mode, failure in row.failures.items():
        modes[failure].append(mode)
    return (f"*{', '.join(names)}*: {_text(failure)}" for failure, names in modes.items())


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text.replace('|', ' ')}`"


def _text(text: str) -> str:
    """Return foreign words as they are, not as Markdown."""
    return f"`{text.replace('`', ' ')}`"


def _listed(title: str, entries: Iterable[tuple[str, ClientRow]]) -> list[str]:
    """Return a section, or none; clients of which the same is said stand together."""
    clients: defaultdict[str, dict[str, None]] = defaultdict(dict)  # in the order of the tables, each once
    for text, row in entries:
        clients[text][f"{row.client} ({row.language})"] = None
    lines = [f"- {', '.join(names)}:\n  {text}" for text, names in clients.items()]
    return ["\n".join([f"## {title}", "", *lines])] if lines else []


if __name__ == "__main__":
    sys.stdout.write(document_of(kept(Path(sys.argv[1]))))
