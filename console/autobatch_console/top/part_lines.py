"""One line for each model, upstream, batcher and worker. Pure."""

from collections.abc import Sequence

from rich.text import Text

from autobatch_console.top.figures import ago, clock, count, milliseconds, share
from autobatch_console.top.looks import LEVELS, MARKS, SOFT, cut, wrapped
from autobatch_shared.watching.troubles import CLOCK_OFF_MS
from autobatch_shared.watching.view import BatcherLine, FleetView, ModelLine, UpstreamLine, WorkerLine

KIND_WIDTH = 9
MORE_LINES_MAX = 3
NAME_WIDTH_MIN = 15  # an IPv4 address with its port


class _Row:
    """One part, and what is told of it behind its state."""

    def __init__(
        self,
        kind: str,
        name: str,
        part: ModelLine | UpstreamLine | BatcherLine | WorkerLine,
        facts: Sequence[tuple[str, str]],
        now_ms: int,
    ) -> None:
        self.kind = kind
        self.name = name
        self.part = part
        self.state = f"{MARKS[part.level]} {part.state} {ago(part.since_ms, now_ms)}".rstrip()
        self.facts = [f"{value} {text}" for value, text in facts if value]


def lines_of(view: FleetView, width: int) -> list[Text]:
    """Return the lines, and below an upstream's why it is not as it should be, or what its tuner does."""
    now_ms = view.now_ms
    rows: list[_Row] = [
        *[
            _Row("model", each.name or each.served or "(no name)", each, _of_model(each), now_ms)
            for each in view.models
        ],
        *[_Row("upstream", each.url.partition("://")[2], each, _of_upstream(each), now_ms) for each in view.upstreams],
        *[_Row("batcher", each.id, each, _of_batcher(each), now_ms) for each in view.batchers],
        *[_Row("worker", each.id, each, _of_worker(each), now_ms) for each in view.workers],
    ]
    state_width = max((len(row.state) for row in rows), default=0)
    left = width - KIND_WIDTH - state_width - 3 - max((len("  ".join(row.facts)) for row in rows), default=0)
    name_width = max(NAME_WIDTH_MIN, min(left, max((len(row.name) for row in rows), default=0)))
    lines = []
    for row in rows:
        lines.append(_line(row, name_width, state_width, width))
        if isinstance(row.part, UpstreamLine):
            lines.extend(Text(f"{'':{KIND_WIDTH}}{each}", SOFT) for each in _more(row.part, width - KIND_WIDTH))
    return lines


def _more(line: UpstreamLine, width: int) -> list[str]:
    """Return why calls fail in as many lines as that takes, or else what the tuner does in one."""
    why = wrapped(line.reason or line.failed, width, MORE_LINES_MAX)
    return why if line.reason else [*why, cut(line.tuner, width)]


def _line(row: "_Row", name_width: int, state_width: int, width: int) -> Text:
    line = Text(f"{row.kind:{KIND_WIDTH}}", SOFT)
    line.append(f"{cut(row.name, name_width):{name_width}} ", "bold")
    line.append(f"{row.state:{state_width}}  ", LEVELS[row.part.level])
    line.append(fitting(row.facts, width - len(line)))
    return line


def fitting(facts: Sequence[str], width: int) -> str:
    """Return as many facts, the first of them, as fit into one line."""
    line = ""
    for each in facts:
        longer = f"{line}  {each}" if line else each
        if len(longer) > width:
            break
        line = longer
    return line


def _of_model(line: ModelLine) -> list[tuple[str, str]]:
    facts = [(count(line.queued), "queued"), (count(line.queued_bulk) if line.queued_bulk else "", "bulk")]
    facts.append((count(line.expired) if line.expired else "", "expired"))
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
    return [
        (count(line.texts_per_s), "texts/s"),
        (count(line.held), "held"),
        (_clock_of(line), "clock"),
        (share(line.cpu_share), "CPU"),
    ]


def _of_worker(line: WorkerLine) -> list[tuple[str, str]]:
    return [
        (count(line.requests_per_s), "ok/s"),
        (count(line.refused_per_s) if line.refused_per_s else "", "refused/s"),
        (count(line.failed_per_s) if line.failed_per_s else "", "failed/s"),
        (count(line.waiting), "wait"),
        (_clock_of(line), "clock"),
        (share(line.cpu_share), "CPU"),
        (milliseconds(line.took.p99_ms), "p99"),
    ]


def _clock_of(line: BatcherLine | WorkerLine) -> str:
    """Return how far its clock is off; empty where that is not worth a word."""
    return clock(-line.clock_ahead_ms) if abs(line.clock_ahead_ms) >= CLOCK_OFF_MS else ""
