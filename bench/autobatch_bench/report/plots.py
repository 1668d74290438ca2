"""The pictures of a report, each as PNG bytes. Imported only when a report is written: it needs matplotlib.

Colours are Okabe and Ito's, which people with any colour vision can tell apart; direct and proxy also differ by marker
and line.
"""

import io
from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from PIL import Image

from autobatch_bench.comparing.rounds import Point, of, ratio, spread
from autobatch_bench.comparing.sides import Comparison

mpl.use("Agg")

SIZE_IN, DPI = (8.0, 4.5), 130
COLOURS_IN_A_FILE = 64  # a quarter of the size, and nothing is to be seen of it
COLOURS = {"direct": "#D55E00", "proxy": "#0072B2"}
MARKERS = {"direct": "s", "proxy": "o"}
DASHES = {"p50_ms": "-", "p95_ms": "--", "p99_ms": ":"}
PART_COLOURS = {
    "nginx": "#999999",
    "behind nginx": "#56B4E9",
    "worker": "#0072B2",
    "queue": "#E69F00",
    "upstream": "#009E73",
}
SIDES = ("direct", "proxy")


def of_comparison(comparison: Comparison) -> dict[str, bytes]:
    """Every picture of a comparison, by the name of the table that it accompanies, and two more for latencies."""
    name, load = comparison.upstream, comparison.workload
    pictures: dict[str, tuple[object, Callable[[Axes], None]]] = {
        "bursts": (comparison.bursts, lambda axes: _bursts(axes, comparison.bursts)),
        "concurrency": (
            comparison.concurrency,
            lambda axes: _rates(axes, comparison.concurrency, "requests in flight"),
        ),
        "concurrency-latency": (
            comparison.concurrency,
            lambda axes: _latencies(axes, comparison.concurrency, "requests in flight", is_log=True),
        ),
        "rates": (
            comparison.rates,
            lambda axes: _latencies(axes, comparison.rates, "offered rate, requests/s", is_log=False),
        ),
        "lengths": (comparison.lengths, lambda axes: _rates(axes, comparison.lengths, "words in a text")),
        "workloads": (comparison.workloads, lambda axes: _bars(axes, comparison.workloads)),
        "batches": (comparison.batches, lambda axes: _batches(axes, comparison.batches)),
        "parts": (comparison.parts_ms, lambda axes: _parts(axes, comparison.parts_ms)),
    }
    titles = {
        "bursts": f"{name}: time until N simultaneous requests are answered ({load})",
        "concurrency": f"{name}: throughput by requests in flight ({load})",
        "concurrency-latency": f"{name}: latency by requests in flight ({load})",
        "rates": f"{name}: latency by offered rate ({load}, open loop)",
        "lengths": f"{name}: throughput by text length (64 in flight)",
        "workloads": f"{name}: throughput by workload (64 in flight)",
        "batches": f"{name}: inputs in a batch",
        "parts": f"{name}: where a request's time goes ({load}, 8 in flight)",
    }
    return {key: _png(titles[key], draw) for key, (data, draw) in pictures.items() if data}


def _png(title: str, draw: Callable[[Axes], None]) -> bytes:
    figure = Figure(SIZE_IN, DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e3e7ec", linewidth=0.8)
    axes.set_axisbelow(True)
    draw(axes)
    if axes.get_legend_handles_labels()[1]:
        # Outside: the best place within takes long to find.
        figure.legend(frameon=False, fontsize=8.5, ncols=6, loc="outside lower center")
    drawn, written = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    few = Image.open(drawn).convert("RGB").quantize(COLOURS_IN_A_FILE, dither=Image.Dither.NONE)
    few.save(written, "PNG", optimize=True)
    return written.getvalue()


def _line(axes: Axes, points: Sequence[Point], side: str, name: str, label: str, dash: str) -> None:
    spreads = [of(point.pairs, side, name) for point in points]
    medians = [each.median for each in spreads]
    errors = [[each.median - each.low for each in spreads], [each.high - each.median for each in spreads]]
    axes.errorbar(
        [float(point.x) for point in points],
        medians,
        yerr=errors,
        label=label,
        color=COLOURS[side],
        marker=MARKERS[side],
        linestyle=dash,
        markersize=4.5,
        linewidth=1.6,
        capsize=2.5,
        elinewidth=0.9,
    )


def _log_x(axes: Axes, points: Sequence[Point]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks([float(point.x) for point in points], [f"{point.x:,}" for point in points])
    axes.minorticks_off()


def _log_y(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(LogLocator(subs=()))


def _rates(axes: Axes, points: Sequence[Point], x_name: str) -> None:
    for side in SIDES:
        _line(axes, points, side, "per_second", side, "-")
    _log_x(axes, points)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(x_name)
    axes.set_ylabel("right answers/s")


def _latencies(axes: Axes, points: Sequence[Point], x_name: str, *, is_log: bool) -> None:
    for side in SIDES:
        for name, dash in DASHES.items():
            _line(axes, points, side, name, f"{side} {name.removesuffix('_ms')}", dash)
    _log_y(axes)
    if is_log:
        _log_x(axes, points)
    axes.set_xlabel(x_name)
    axes.set_ylabel("latency, ms")


def _pair_of_bars(axes: Axes, points: Sequence[Point], name: str, scale: float) -> None:
    for place, side in enumerate(SIDES):
        spreads = [of(point.pairs, side, name) for point in points]
        axes.bar(
            [index + (place - 0.5) * 0.38 for index in range(len(points))],
            [each.median * scale for each in spreads],
            width=0.36,
            yerr=[
                [(each.median - each.low) * scale for each in spreads],
                [(each.high - each.median) * scale for each in spreads],
            ],
            capsize=2.5,
            label=side,
            color=COLOURS[side],
            error_kw={"elinewidth": 0.9},
        )
    axes.set_xticks(range(len(points)), [str(point.x) for point in points])
    axes.grid(visible=False, axis="x")


def _bursts(axes: Axes, points: Sequence[Point]) -> None:
    _pair_of_bars(axes, points, "seconds", 1000)
    _log_y(axes)
    axes.margins(y=0.12)
    for index, point in enumerate(points):
        if refused := spread([pair["direct"].refused for pair in point.pairs]).median:
            at_ms = of(point.pairs, "direct", "seconds").high * 1000
            text = f"{refused:,.0f} refused\nwith 429"
            axes.annotate(text, (index, at_ms), (-2, 6), textcoords="offset points", ha="right", fontsize=7.5)
    axes.set_xlabel("requests at the same moment")
    axes.set_ylabel("until all are answered, ms")


def _bars(axes: Axes, points: Sequence[Point]) -> None:
    _pair_of_bars(axes, points, "per_second", 1)
    for index, point in enumerate(points):
        top = max(of(point.pairs, side, "per_second").high for side in SIDES)
        times = f"{ratio(point.pairs, 'proxy', 'direct').median:.2f} x"
        axes.annotate(times, (index, top), (0, 5), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xlabel("workload")
    axes.set_ylabel("right answers/s")


def _batches(axes: Axes, buckets: dict[str, float]) -> None:
    total = sum(buckets.values()) or 1.0
    axes.bar(range(len(buckets)), [count / total * 100 for count in buckets.values()], color=COLOURS["proxy"])
    axes.set_xticks(range(len(buckets)), _ranges(list(buckets)))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("inputs in a batch")
    axes.set_ylabel("share of batches, %")


def _ranges(bounds: Sequence[str]) -> list[str]:
    """The batch sizes of each bucket, from its bound and the one below."""
    uppers = [float(bound) for bound in bounds]
    lowers = [1.0, *(upper + 1 for upper in uppers[:-1])]
    return [
        f"{lower:g}" if lower == upper else f"{lower:g} to {upper:g}"
        for lower, upper in zip(lowers, uppers, strict=True)
    ]


def _parts(axes: Axes, parts_ms: dict[str, float]) -> None:
    left = 0.0
    for name, colour in PART_COLOURS.items():
        ms = parts_ms.get(name)
        if ms is not None:
            axes.barh([0], [ms], left=left, height=0.5, color=colour, label=f"{name} {ms:.2f} ms")
            left += ms
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    axes.set_xlabel("median, ms")
