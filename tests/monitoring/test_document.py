"""docs/metrics.md says what the processes declare, under names that Prometheus likes, and who reads them finds them."""

import re
from pathlib import Path

import orjson
import pytest

from autobatch_batcher.metrics import Metrics, ProcessMetrics
from autobatch_proxy.metrics import WorkerMetrics
from tests.monitoring.document import declared, document, fleet, names, rules
from tests.monitoring.incidents import INCIDENTS
from tests.support.paths import ROOT

OBSERVABILITY = ROOT / "deploy" / "observability"
READERS = [
    OBSERVABILITY / "alerts.yml",
    OBSERVABILITY / "board.json",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
]
NAME = re.compile(r"\bautobatch_(?!proxy\b|batcher\b|shared\b|embedder\b|console\b|bench\b)[a-z_]+[a-z]\b")
SERIES = re.compile(r"_(bucket|sum|count)$")  # of a histogram
PREFIXES = {
    "autobatch_fleet",
    "autobatch_tuned",
    "autobatch_batch",
    "autobatch_upstream",
    "autobatch_queue",
}  # in prose
MEASURED, UNIT_LAST = re.compile(r"seconds|bytes|ratio|cores"), re.compile(r"_(seconds|bytes|ratio|cores)(_total)?$")


def test_the_document_is_what_is_declared() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == document(), "run `make docs`"


@pytest.mark.parametrize("file", READERS, ids=lambda file: str(file.name))
def test_only_metrics_that_exist_are_read(file: Path) -> None:
    read, known = set(NAME.findall(file.read_text(encoding="utf-8"))), names() | PREFIXES
    assert {name for name in read if name not in known and SERIES.sub("", name) not in known} == set()


def test_names_have_their_unit_and_counters_end_in_total() -> None:
    metrics = [
        *declared(WorkerMetrics().registry),
        *declared(Metrics().registry),
        *declared(ProcessMetrics().registry),
        *fleet(),
    ]
    assert [name for name, kind, *_ in metrics if name.endswith("_total") != (kind == "counter")] == []
    assert [name for name, *_ in metrics if MEASURED.search(name) and not UNIT_LAST.search(name)] == []


def test_every_incident_has_its_alert_and_panels_of_the_board() -> None:
    titles = {panel["title"] for panel in orjson.loads((OBSERVABILITY / "board.json").read_bytes())["panels"]}
    assert {incident.alert for incident in INCIDENTS} <= {rule["alert"] for rule in rules()}
    assert len({incident.alert for incident in INCIDENTS}) == len(INCIDENTS) == 10
    assert [each.name for each in INCIDENTS if not set(each.panels) <= titles or not 1 <= len(each.panels) <= 2] == []


def test_every_alert_says_what_to_do() -> None:
    assert [each["alert"] for each in rules() if not each["annotations"].keys() >= {"summary", "runbook"}] == []
