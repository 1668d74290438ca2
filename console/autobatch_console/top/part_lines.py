"""One line for each model, upstream, batcher and worker. Pure."""

from collections.abc import Sequence

from rich.text import Text

from autobatch_console.top.figures import ago, count, milliseconds, share
from autobatch_console.top.looks import LEVELS, MARKS, SOFT, cut
from autobatch_shared.watching.view import BatcherLine, FleetView, ModelLine, UpstreamLine, WorkerLine

STATE_WIDTH = 15
KIND_WIDTH = 9
NAME_WIDTH_MIN = 12


class _Row:
    """One part, and what is told of it behind its state."""

    def __init__(
        self,
        kind: str,
        name: str,
        part: ModelLine | UpstreamLine | BatcherLine | WorkerLine,
        facts: Sequence[tuple[str, str]],
    ) -> None:
        self.kind = kind
        self.name = name
        self.part = part
        self.told = "  ".join(f"{value} {text}" for value, text in facts if value)


def lines_of(view: FleetView, width: int) -> list[Text]:
    """Return the lines, and below an upstream's what its tuner does."""
    rows: list[_Row] = [
        *[_Row("model", each.name or each.served or "(no name)", each, _of_model(each)) for each in view.models],
        *[_Row("upstream", each.url.partition("://")[2], each, _of_upstream(each)) for each in view.upstreams],
        *[_Row("batcher", each.id, each, _of_batcher(each)) for each in view.batchers],
        *[_Row("worker", each.id, each, _of_worker(each)) for each in view.workers],
    ]
    left = width - KIND_WIDTH - STATE_WIDTH - 2 - max((len(row.told) for row in rows), default=0)
    name_width = max(NAME_WIDTH_MIN, min(left, max((len(row.name) for row in rows), default=0)))
    lines = []
    for row in rows:
        lines.append(_line(row, view.now_ms, name_width))
        if isinstance(row.part, UpstreamLine):
            lines.append(Text(cut(f"{'':{KIND_WIDTH}}{row.part.reason or row.part.tuner}", width), SOFT))
    return lines


def _line(row: "_Row", now_ms: int, name_width: int) -> Text:
    part = row.part
    state = f"{MARKS[part.level]} {part.state} {ago(part.since_ms, now_ms)}".rstrip()
    line = Text(f"{row.kind:{KIND_WIDTH}}", SOFT)
    line.append(f"{cut(row.name, name_width):{name_width}} ", "bold")
    line.append(f"{state:{STATE_WIDTH}} ", LEVELS[part.level])
    line.append(row.told)
    return line


def _of_model(line: ModelLine) -> list[tuple[str, str]]:
    facts = [(count(line.queued), "queued"), (count(line.queued_bulk) if line.queued_bulk else "", "bulk")]
    facts.append((f"{line.drain_s:g} s" if line.drain_s else "", "to drain"))
    facts.append((str(line.dead) if line.dead else "", "given up"))
    return facts


def _of_upstream(line: UpstreamLine) -> list[tuple[str, str]]:
    return [
        (count(line.texts_per_s), "texts/s"),
        (milliseconds(line.took.p50_ms), "p50"),
        (milliseconds(line.took.p99_ms), "p99"),
    ]


def _of_batcher(line: BatcherLine) -> list[tuple[str, str]]:
    return [(count(line.texts_per_s), "texts/s"), (count(line.held), "held"), (share(line.cpu_share), "CPU")]


def _of_worker(line: WorkerLine) -> list[tuple[str, str]]:
    return [
        (count(line.requests_per_s), "req/s"),
        (count(line.waiting), "wait"),
        (milliseconds(line.took.p99_ms), "p99"),
        (share(line.cpu_share), "CPU"),
    ]
