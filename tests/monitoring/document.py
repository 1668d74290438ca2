"""`python -m tests.monitoring.document`: docs/metrics.md, made of what each process declares."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics import MetricWrapperBase

from autobatch_batcher.metrics import Metrics, ProcessMetrics
from autobatch_embedder.metrics import EmbedderMetrics
from autobatch_proxy.metrics import FLEET, WorkerMetrics
from tests.support.paths import ROOT

#: What OpenTelemetry's conventions for generative AI (embeddings) call the same thing.
#: Source: OpenTelemetry's semantic conventions for generative AI, client embeddings, status development.
OPENTELEMETRY = {
    "autobatch_http_request_duration_seconds": "`gen_ai.server.request.duration`",
    "autobatch_upstream_call_seconds": "`gen_ai.client.embeddings.duration`, `server.address` is `upstream`",
    "autobatch_batch_tokens_total": "`gen_ai.client.embeddings.operation.input_tokens`",
    "autobatch_upstream_info": "`gen_ai.response.model` is `served`",
}

RULES = ROOT / "deploy" / "observability" / "alerts.yml"

HEAD = """\
# Metrics

All that workers, batchers and the embedder tell Prometheus. The tables are made of what the processes declare; `make docs` writes this
page. The board and the alert rules that read these names are in `deploy/observability/`.

## How to scrape

| what | address | one target for each |
|---|---|---|
| workers | `/metrics` on their port; no API key is needed | gunicorn: any of its workers speaks for all of them |
| batchers | `/metrics` on BATCHER_PORT (13000) | process |
| upstreams | `/metrics?upstream=1` on BATCHER_PORT: their own names, such as TEI's `te_*`, with the label `upstream` | batcher |

`autobatch up` has one target for all its workers, its public port, and one for its batcher; it prints both. Behind a load balancer with
several gunicorns scrape each of these by its own address: a counter that comes from another one each time goes up and down.
`deploy/observability/prometheus.yml` finds all of compose's containers, and `deploy/kubernetes/service-monitor.yaml` all pods.
`docker compose --profile monitoring up` starts Prometheus (port 9090) and Grafana with the board (port 3001).

`make incidents PICTURES=folder` stages ten incidents and keeps what an operator sees of each: the board, /dashboard and `autobatch top`, under a number and
without the alerts' names, so that you can try whether you would know what is wrong; it prints which number is which. This is the board's beginning when the client
with the second API key began to send all it could: requests are refused, and the third row says whose they are.

![The board while one API key floods](watching/board.png)

* Where models have names, each series of one has the label `model`.
* `autobatch_fleet_*` are of the whole fleet, looked up in Redis at the scrape: every worker says the same. Take their maximum.
* `autobatch_fleet_saturation_ratio` is for autoscalers of upstreams: 0 while nothing waits, 1 when requests are refused.
* Latencies have 51 buckets, each at most 1.25 times the one before, from 0.5 ms to 30 s: a quantile is within a quarter of the truth.
* Refusals take no time; ask for the latency of good answers: `{code="200"}`.
* Why a batch left (`reason` of `autobatch_batches_total`): `full`, its jobs have all the inputs that a call may have,
  equal ones counted each though they are sent once; `shaped`, one input more would cost
  more than a call of its own, by what the tuner has learnt; `alone`, its job shares no call; `idle`, the upstream had nothing to do;
  `due`, its oldest job had waited for MAX_WAIT_TIME_MS; `drain`, the batcher was told to stop.
"""

ALERTS = """\
## Alerts

The rules are in `deploy/observability/alerts.yml`; `make incidents` stages ten incidents with a real Prometheus and checks that each is told
within a minute. `page` is for now, `ticket` for the working day.

| alert | severity | what is wrong | what to do first |
|---|---|---|---|
"""


def _rows(metrics: Iterable[tuple[str, str, Iterable[str], str]]) -> Iterator[str]:
    yield "| name | type | labels | what it is | OpenTelemetry |"
    yield "|---|---|---|---|---|"
    for name, kind, labels, text in metrics:
        shown = ", ".join(f"`{label}`" for label in labels)
        yield f"| `{name}` | {kind} | {shown} | {text} | {OPENTELEMETRY.get(name, '')} |"


def declared(registry: CollectorRegistry, *, is_tei: bool = False) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Return (name, type, labels, description) of each metric, in the order of their declaration.

    Args:
        registry: What a process declares.
        is_tei: Whether counters end as TEI's do, without `_total`.
    """
    found = []
    for collector in registry._collector_to_names:
        for metric in collector.describe() if hasattr(collector, "describe") else collector.collect():
            labels = collector._labelnames if isinstance(collector, MetricWrapperBase) else ()
            found.append((_shown_name(metric, is_tei=is_tei), metric.type, tuple(labels), metric.documentation))
    return found


def _shown_name(metric: Metric, *, is_tei: bool) -> str:
    return f"{metric.name}_total" if metric.type == "counter" and not is_tei else metric.name


def fleet() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Return the same of the figures of the whole fleet."""
    return [(f"autobatch_{each.name}", "gauge", each.labels, each.text) for each in FLEET]


def names() -> set[str]:
    """Return the names of all metrics of workers and batchers."""
    own = (WorkerMetrics().registry, Metrics().registry, ProcessMetrics().registry)
    return {name for registry in own for name, *_ in declared(registry)} | {name for name, *_ in fleet()}


def document() -> str:
    """Return the text of docs/metrics.md."""
    parts = (
        ("Of a worker", declared(WorkerMetrics().registry)),
        ("Of the fleet, said by each worker", fleet()),
        ("Of a batcher", [*declared(Metrics().registry), *declared(ProcessMetrics().registry)]),
        ("Of the embedder, under TEI's names", declared(EmbedderMetrics().registry, is_tei=True)),
    )
    lines = [HEAD]
    for title, metrics in parts:
        lines += [f"## {title}\n", *_rows(metrics), ""]
    return "\n".join(lines) + "\n" + ALERTS + "".join(map(_alert_row, rules()))


def rules() -> list[dict[str, Any]]:
    """Return the alert rules that we publish."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def _alert_row(rule: Mapping[str, Any]) -> str:
    said = rule["annotations"]
    summary = re.sub(r"{{ with .*?{{ end }}", "", said["summary"])
    summary = re.sub(r"{{ if .*?}}(.*?){{ else }}(.*?){{ end }}", r"\1 or \2", summary)
    summary = re.sub(r"{{[^}]*labels\.(\w+)[^}]*}}", lambda found: f"*{found[1]}*", summary)
    summary = re.sub(r"{{[^}]*}}", "*n*", summary)
    return f"| `{rule['alert']}` | {rule['labels']['severity']} | {summary} | {said['runbook']} |\n"


if __name__ == "__main__":
    sys.stdout.write(document())
