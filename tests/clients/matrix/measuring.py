"""One client with its own defaults against the system, in three modes; the result is a row of docs/clients.md.

- `one`: one call with one text.
- `crowd`: a hundred concurrent calls with one text each. They must share upstream calls.
- `list`: one call of the SDK with a hundred texts.

In each mode the vectors must be those that the upstream returns for each text alone.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.harness.recorder import Exchange, Recorder
from tests.clients.harness.truth import Truth, assert_rows, texts

MODES = {"one": 1, "crowd": 100, "list": 100}  # mode -> texts
FAILURE_CHARS_MAX = 300
TEXTS_FIELDS = {"input", "inputs", "texts", "prompt"}
RESULTS = "CLIENTS_RESULTS"  # the variable that names the folder for rows


@dataclass(frozen=True, slots=True)
class Client:
    """One SDK, set up as in its documentation for a self-hosted server.

    Attributes:
        version: Of the SDK that ran.
        embed: Takes a base URL, a mode and its texts; returns one vector for each text, in their order.
        path: What follows the system's address in the base URL.
        needs: What had to be set besides base URL and key, and why; empty for most.
        options: Options of `POST /embed` that give the same vectors.
        must_share: Whether its crowd must share upstream calls; false if the SDK itself queues a crowd's calls.
    """

    name: str
    language: str
    version: str
    embed: Callable[[str, str, Sequence[str]], Any]
    path: str = "/v1"
    needs: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    must_share: bool = True


@dataclass(frozen=True, slots=True)
class ModeOutcome:
    """The outcome of one mode.

    Attributes:
        requests: How many the client made.
        shared: How many of them were answered by an upstream call of more than one input.
        failure: Why it failed; empty if it did not.
    """

    requests: int
    shared: int
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """The results of one client.

    Attributes:
        path: Of its requests.
        sent: The body of its first request; `input` is the form that its texts had, whatever it calls them.
        skipped: Why it did not run; empty if it did.
    """

    client: str
    language: str
    version: str
    needs: str = ""
    path: str = ""
    sent: Mapping[str, Any] = field(default_factory=dict)
    outcomes: Mapping[str, ModeOutcome] = field(default_factory=dict)
    skipped: str = ""

    @property
    def failures(self) -> dict[str, str]:
        """Return the modes that failed, and why."""
        return {mode: outcome.failure for mode, outcome in self.outcomes.items() if outcome.failure}


def measure(client: Client, recorder: Recorder, truth: Truth) -> ClientRow:
    """Run a client in every mode. The row is kept in the folder of results, if there is one."""
    path, sent, outcomes = "", {}, {}
    for mode, count in MODES.items():
        inputs = texts(count, mode)
        failure = _failure(client, f"{recorder.url}{client.path}", mode, inputs, truth)
        exchanges = recorder.take()
        shared = sum(exchange.batch_size > 1 for exchange in exchanges)
        if not failure and not exchanges:
            failure = "nothing was asked: the vectors are from elsewhere"
        elif not failure and mode == "crowd" and client.must_share and not shared:
            failure = f"none of {len(exchanges)} requests shared an upstream call"
        outcomes[mode] = ModeOutcome(len(exchanges), shared, failure)
        if exchanges and not path:
            path, sent = exchanges[0].path, settings_of(exchanges[0])
    row = ClientRow(client.name, client.language, client.version, client.needs, path, sent, outcomes)
    keep(row)
    return row


def _failure(client: Client, base_url: str, mode: str, inputs: Sequence[str], truth: Truth) -> str:
    expected = truth.of(inputs, **client.options)
    try:
        assert_rows(client.embed(base_url, mode, inputs), expected)
    except Exception as error:  # noqa: BLE001  # whatever an SDK raises is what its users see
        sentence = " ".join(f"{type(error).__name__}: {error}".split())
        return sentence if len(sentence) <= FAILURE_CHARS_MAX else f"{sentence[:FAILURE_CHARS_MAX]}..."
    return ""


def settings_of(exchange: Exchange) -> dict[str, Any]:
    """Return what a request asked for besides its texts."""
    try:
        body = json.loads(exchange.body)
    except ValueError:
        return {"body": "not JSON"}
    return dict(("input", form_of(value)) if name in TEXTS_FIELDS else (name, value) for name, value in body.items())


def form_of(value: Any) -> str:
    """Name the form in which texts were sent."""
    match value:
        case str():
            return "text"
        case [str(), *_]:
            return "list of texts"
        case [int(), *_]:
            return "token ids"
        case [[int(), *_], *_]:
            return "list of token ids"
    return type(value).__name__


def keep(row: ClientRow) -> None:
    """Write a row into the folder of results, if one was named."""
    if folder := os.environ.get(RESULTS):
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^a-z0-9.]+", "-", f"{row.language} {row.client} {row.version}".lower())
        file = Path(folder) / f"{name}.json"
        if not (row.skipped and file.exists()):  # what another environment could run is not skipped
            file.write_text(json.dumps(asdict(row), indent=1), encoding="utf-8")


def kept(folder: Path) -> list[ClientRow]:
    """Return the rows of a folder by language and name."""
    rows = [_row(json.loads(file.read_text(encoding="utf-8"))) for file in folder.glob("*.json")]
    return sorted(rows, key=lambda row: (row.language != "Python", row.language, row.client.lower(), row.version))


def _row(fields: dict[str, Any]) -> ClientRow:
    outcomes = {mode: ModeOutcome(**outcome) for mode, outcome in fields.pop("outcomes").items()}
    return ClientRow(outcomes=outcomes, **fields)
