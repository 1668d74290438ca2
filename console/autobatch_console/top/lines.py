"""One line for each model, upstream, batcher and worker. Pure."""

from collections.abc import Sequence

from rich.text import Text

from autobatch_console.top.figures import ago, count, milliseconds, share
from autobatch_console.top.looks import LEVELS, MARKS, SOFT, cut
from autobatch_shared.watching.view import BatcherLine, FleetView, ModelLine, UpstreamLine, WorkerLine

STATE_WIDTH = 17
KIND_WIDTH = 9
AnyLine = ModelLine | UpstreamLine | BatcherLine | WorkerLine


def lines_of(view: FleetView, width: int) -> list[Text]:
    """Return the lines, and below an upstream's what its tuner does."""
    lines = [
        _line("model", each.name or each.served or "(no name)", each, _of_model(each), view, width)
        for each in view.models
    ]
    for upstream in view.upstreams:
        lines.append(_line("upstream", upstream.url, upstream, _of_upstream(upstream), view, width))
        more = upstream.reason or upstream.tuner
        lines.append(Text(cut(f"{'':{KIND_WIDTH}}{more}", width), SOFT))
    lines += [_line("batcher", each.id, each, _of_batcher(each), view, width) for each in view.batchers]
    lines += [_line("worker", each.id, each, _of_worker(each), view, width) for each in view.workers]
    return lines


def _line(kind: str, name: str, each: AnyLine, facts: Sequence[tuple[str, str]], view: FleetView, width: int) -> Text:
    state = f"{MARKS[each.level]} {each.state} {ago(each.since_ms, view.now_ms)}".rstrip()
    told = "  ".join(f"{value} {text}" for value, text in facts if value)
    name_width = max(12, width - KIND_WIDTH - STATE_WIDTH - 2 - len(told))
    line = Text(f"{kind:{KIND_WIDTH}}", SOFT)
    line.append(f"{cut(name, name_width):{name_width}} ", "bold")
    line.append(f"{state:{STATE_WIDTH}} ", LEVELS[each.level])
    line.append(told)
    line.truncate(width)
    return line


def _of_model(line: ModelLine) -> list[tuple[str, str]]:
    facts = [(count(line.queued), "queued"), (count(line.queued_bulk) if line.queued_bulk else "", "bulk")]
    facts.append(("" if line.drain_s is None else f"{line.drain_s:g} s", "to drain"))
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
        (count(line.waiting), "waiting"),
        (milliseconds(line.took.p99_ms), "p99"),
        (share(line.cpu_share), "CPU"),
    ]
