"""One frame of `autobatch top`, from 80 columns on; of fewer, what fits of its lines. Pure: a view, a history and a size in, lines out.

The chart takes the rows that the rest leaves. A terminal with few has no picture of the batches, and says how many lines are cut.
"""

from time import gmtime, strftime

from rich.text import Text

from autobatch_console.top import columns
from autobatch_console.top.figures import NONE, clock, count, milliseconds, share
from autobatch_console.top.history import ChartHistory
from autobatch_console.top.looks import DOWN, LEVELS, MARKS, OWN, SOFT, UP, wrapped
from autobatch_console.top.part_lines import lines_of
from autobatch_shared.watching.troubles import CLOCK_OFF_MS
from autobatch_shared.watching.view import BatchPicture, ChartSecond, FleetView

REASONS = {
    "full": ("F", "full", "blue"),
    "shaped": ("P", "one more would not pay", "bright_blue"),
    "alone": ("A", "shares no call", "bright_magenta"),
    "due": ("D", "due", "magenta"),
    "idle": ("I", "upstream was idle", "cyan"),
    "drain": ("S", "stopping", "white"),
}
FAILED, OTHER = ("X", "failed", LEVELS["bad"]), ("?", "another reason", "white")
TROUBLES_MAX, TROUBLE_LINES_MAX = 4, 3
UP_ROWS_MIN, UP_ROWS_MAX, BATCH_ROWS = 3, 9, 4
CHART_ROWS_MIN = 7  # with the line between its sides, and an empty one
AXIS_WIDTH = 8
WIDTH_MIN = 40  # for which lines are made; what a terminal has no room for is cut


def frame(view: FleetView, history: ChartHistory, width: int, height: int) -> Text:
    """Return the lines of one frame."""
    columns_shown, width = width, max(width, WIDTH_MIN)
    head = [
        _title(view, history, width),
        *_troubles(view, width),
        Text(),
        _numbers(view, width),
        *_latency(view, width),
    ]
    batches = [Text(), *_batches(view.batches, width)]
    lines = [Text(), *lines_of(view, width)]
    if len(head) + len(batches) + len(lines) + CHART_ROWS_MIN > height:
        batches = []  # of a small terminal: how each part is counts more
    room = height - len(head) - len(batches) - len(lines) - 2
    up_rows = min(max(room * 3 // 5, UP_ROWS_MIN), UP_ROWS_MAX)
    chart = [Text(), *_chart(history.shown(), width, up_rows, max(2, up_rows * 2 // 3))]
    shown = [*head, *chart, *batches, *lines]
    if len(shown) > height:
        missing = len(shown) - height + 1
        shown = [*shown[: height - 1], Text(f"and {missing} lines more: in a higher terminal", SOFT)]
    for line in shown:
        line.truncate(columns_shown)
    return Text("\n").join(shown)


def _title(view: FleetView, history: ChartHistory, width: int) -> Text:
    worst = view.troubles[0].level if view.troubles else "good"
    words = f"{len(view.troubles)} to look at" if view.troubles else "all is well"
    left = Text.assemble(("autobatch", "bold"), "  ", (f"{MARKS[worst]} {words}", LEVELS[worst]))
    right = Text(
        f"{_zoom(history.zoom_s)}  + - zoom  q quit  {strftime('%H:%M:%S', gmtime(view.now_ms / 1000))} UTC", SOFT
    )
    left.append(" " * max(1, width - len(left) - len(right)))
    return left.append_text(right)


def _zoom(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"


def _troubles(view: FleetView, width: int) -> list[Text]:
    shown = view.troubles if len(view.troubles) <= TROUBLES_MAX else view.troubles[: TROUBLES_MAX - 1]
    found = []
    for each in shown:
        first, *others = wrapped(each.text, width - 2, TROUBLE_LINES_MAX)
        found.append(Text(f"{MARKS[each.level]} {first}", LEVELS[each.level]))
        found.extend(Text(f"  {line}", LEVELS[each.level]) for line in others)
    if len(shown) < len(view.troubles):
        found.append(Text(f"  and {len(view.troubles) - len(shown)} more", SOFT))
    return found


def _numbers(view: FleetView, width: int) -> Text:
    """The figures of the last seconds, as many as fit: the first matter most."""
    inputs = sum(batch.inputs for batch in view.batches)
    parts = [
        (count(view.requests_per_s), "answers/s", "bold"),
        *([(count(view.refused_per_s), "refused/s", LEVELS["warn"])] if view.refused_per_s else []),
        *([(count(view.failed_per_s), "failed/s", LEVELS["bad"])] if view.failed_per_s else []),
        (count(view.texts_per_s), "texts/s", f"bold {UP}"),
        (count(view.waiting), "waiting", f"bold {DOWN}"),
        *([(clock(view.clock_off_ms), "clock", LEVELS["warn"])] if abs(view.clock_off_ms) >= CLOCK_OFF_MS else []),
        (f"{inputs / len(view.batches):.1f}" if view.batches else NONE, "texts a call", "bold"),
        (share(view.padding), "padding", "bold"),
    ]
    line = Text()
    for value, name, style in parts:
        if len(line) + len(f"{value} {name}") <= width:
            line.append(value, style).append(f" {name}  ")
    return line


def _latency(view: FleetView, width: int) -> list[Text]:
    """A bar for half of the requests, and one for 99 of 100: what waited in the queue, what the call took, the rest."""
    rows = [
        ("p50", view.took.p50_ms, view.queue.p50_ms, view.upstream.p50_ms),
        ("p99", view.took.p99_ms, view.queue.p99_ms, view.upstream.p99_ms),
    ]
    longest = max(max(took or 0.0, (queue or 0.0) + (call or 0.0)) for _, took, queue, call in rows) or 1.0
    cells = max(10, width - 54)
    lines = []
    for name, took, queue, call in rows:
        line = Text.assemble(f"{name} ", (f"{milliseconds(took):>8}", "bold"), "  ")
        own = max(0.0, (took or 0.0) - (queue or 0.0) - (call or 0.0))
        ends_ms, used = 0.0, 0
        for value, style in ((queue, DOWN), (call, UP), (own, OWN)):
            ends_ms += value or 0.0
            end = round(ends_ms / longest * cells)
            line.append("█" * (end - used), style)
            used = end
        line.append(" " * (cells + 1 - used))
        line.append("queue ", SOFT).append(f"{milliseconds(queue):>8}", DOWN)
        line.append("  upstream ", SOFT).append(f"{milliseconds(call):>8}", UP)
        lines.append(line)
    return lines


def _chart(seconds: list[ChartSecond], width: int, up_rows: int, down_rows: int) -> list[Text]:
    cells = width - AXIS_WIDTH
    answered = columns.spread_over([each.answered for each in seconds], cells)
    waiting = columns.spread_over([each.waiting for each in seconds], cells)
    troubles = columns.spread_over([2 * bool(each.failed) or bool(each.refused) for each in seconds], cells)
    top, deep = columns.round_top(max(answered)), columns.round_top(max(waiting))
    lines = []
    for row, drawn in enumerate(columns.upwards(answered, top, up_rows)):
        lines.append(Text.assemble((f"{count(top) if row == 0 else '':>{AXIS_WIDTH - 1}} ", SOFT), (drawn, UP)))
    centre = Text(f"{'texts/s':>{AXIS_WIDTH - 1}} ", SOFT)
    for trouble in troubles:
        centre.append("─" if not trouble else "┼", SOFT if not trouble else LEVELS["bad" if trouble > 1 else "warn"])
    lines.append(centre)
    hanging = columns.downwards(waiting, deep, down_rows)
    for row, cells_of_row in enumerate(hanging):
        label = count(deep) if row == down_rows - 1 else "waits" if row == 0 else ""
        line = Text(f"{label:>{AXIS_WIDTH - 1}} ", SOFT)
        for character, is_reversed in cells_of_row:
            line.append(character, f"reverse {DOWN}" if is_reversed else DOWN)
        lines.append(line)
    return lines


def _batches(batches: list[BatchPicture], width: int) -> list[Text]:
    """A column for each of the last batches: its texts, and above them in grey what padding adds; below, why it left."""
    shown = batches[-((width - AXIS_WIDTH) // 2) :]
    if not shown:
        return [Text("no batch yet", SOFT)]
    work = [each.inputs / (1 - min(each.padding, 0.99)) for each in shown]
    top = columns.round_top(max(work))
    texts = columns.upwards([each.inputs for each in shown], top, BATCH_ROWS)
    padded = columns.upwards(work, top, BATCH_ROWS)
    looks = [FAILED if each.failed else REASONS.get(each.reason, OTHER) for each in shown]
    lines = []
    for row in range(BATCH_ROWS):
        label = count(top) if row == 0 else "batches" if row == BATCH_ROWS - 1 else ""
        line = Text(f"{label:>{AXIS_WIDTH - 1}} ", SOFT)
        for text, whole, (_, _, style) in zip(texts[row], padded[row], looks, strict=True):
            # Where the texts end within a cell, padding goes on behind them.
            drawn = (whole, OWN) if text == " " else (text, f"{style} on {OWN}" if whole == "█" != text else style)
            line.append(*drawn).append(" ")
        lines.append(line)
    reasons, legend = Text(" " * AXIS_WIDTH), Text(" " * AXIS_WIDTH)
    for letter, _, style in looks:
        reasons.append(f"{letter} ", style)
    for letter, words, style in dict.fromkeys(looks):
        legend.append(letter, style).append(f" {words}  ", SOFT)
    return [*lines, reasons, legend]
