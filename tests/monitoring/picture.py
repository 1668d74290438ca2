"""The board as a picture: Grafana's JSON, the answers of a real Prometheus, and matplotlib in Grafana's place."""

import io
import re
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from tests.monitoring.prometheus import Prometheus, as_asked

mpl.use("Agg")

COLUMNS = 24  # of Grafana's grid
INCH, ROW_INCH, DPI = 0.62, 0.3, 80  # of a column and of a row of it
TITLE_PT, LEGEND_PT, TICK_PT = 12, 9, 8  # readable at half of the picture's size
COLOURS_IN_A_FILE = 48
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))
SERIES_SHOWN = 6
LEGEND_ROOM = 1.6  # of an axis, so that no line is behind the legend
STEP_S = 2


async def picture(panels: Sequence[Mapping[str, Any]], prometheus: Prometheus, start_s: float, end_s: float) -> bytes:
    """Return a PNG of these panels of a board over this time, unix seconds."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(COLUMNS * INCH, rows * ROW_INCH), dpi=DPI, facecolor="#f4f5f5")
    for panel in panels:
        place = panel["gridPos"]
        spare_x, spare_y = 0.9 / COLUMNS, 1.6 / rows
        axes = figure.add_axes(
            (
                place["x"] / COLUMNS + spare_x,
                1 - (place["y"] + place["h"]) / rows + spare_y * 0.7,
                place["w"] / COLUMNS - 1.3 * spare_x,
                place["h"] / rows - 1.7 * spare_y,
            )
        )
        axes.set_title(panel["title"], fontsize=TITLE_PT, loc="left", weight="bold")
        series: dict[str, list[tuple[float, float]]] = {}
        for target in panel["targets"]:
            query = as_asked(target["expr"])
            for labels, points in await prometheus.over_time(query, start_s, end_s, STEP_S):
                series[_legend(target["legendFormat"], labels)] = points
        _draw(axes, panel, series, start_s, end_s)
    made = io.BytesIO()
    figure.savefig(made, format="png")
    smaller = io.BytesIO()
    Image.open(made).convert("P", palette=Image.Palette.ADAPTIVE, colors=COLOURS_IN_A_FILE).save(
        smaller, format="PNG", optimize=True
    )
    return smaller.getvalue()


def _draw(
    axes: Axes,
    panel: Mapping[str, Any],
    series: Mapping[str, list[tuple[float, float]]],
    start_s: float,
    end_s: float,
) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] == "timeseries":
        axes.set_xlim(start_s, end_s)
        _draw_lines(axes, panel["fieldConfig"]["defaults"], series)
        return
    axes.axis("off")
    if panel["type"] == "stat":
        last = {name: points[-1][1] for name, points in series.items() if points}
        text = "  ".join(f"{name} {_shown(value, unit)}".strip() for name, value in last.items())
    else:
        text = "\n".join(series)
    size = 20 if panel["type"] == "stat" and len(text) < 12 else 11
    axes.text(0.5, 0.5, text or "no data", ha="center", va="center", fontsize=size, transform=axes.transAxes)


def _draw_lines(axes: Axes, defaults: Mapping[str, Any], series: Mapping[str, list[tuple[float, float]]]) -> None:
    is_stacked = "stacking" in defaults["custom"]
    loud = sorted(series, key=lambda name: -max((value for _, value in series[name]), default=-inf))[:SERIES_SHOWN]
    base: dict[float, float] = {}
    for name in loud:
        points = [(at, value) for at, value in series[name] if isfinite(value)]
        times = [at for at, _ in points]
        if is_stacked:
            below = [base.get(at, 0.0) for at, _ in points]
            above = [low + value for low, (_, value) in zip(below, points, strict=True)]
            base.update((at, high) for (at, _), high in zip(points, above, strict=True))
            axes.fill_between(times, below, above, alpha=0.6, label=name, linewidth=0)
        else:
            axes.plot(times, [value for _, value in points], label=name, linewidth=1.2)
    if loud:
        axes.legend(fontsize=LEGEND_PT, loc="upper left", ncols=2, framealpha=0.6)
    if "min" in defaults:
        axes.set_ylim(bottom=0)
    top = defaults["max"] * 1.02 if "max" in defaults else axes.get_ylim()[1]
    axes.set_ylim(top=top * LEGEND_ROOM)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _shown(value, defaults["unit"])))
    axes.tick_params(labelsize=TICK_PT)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda _value, _place: ""))
    axes.grid(alpha=0.3)


def _shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value:.0%}"
    suffix = {"s": " s", "bytes": "B", "reqps": "/s"}.get(unit, "")
    if value == 0 or not isfinite(value):
        return f"{value:.3g}{suffix}"
    factor, prefix = next(((f, p) for f, p in PREFIXES if abs(value) >= f), PREFIXES[-1])
    return f"{value / factor:.3g}{suffix and ' '}{prefix}{suffix.strip()}"


def _legend(form: str, labels: Mapping[str, str]) -> str:
    if not form:
        return " ".join(value for name, value in labels.items() if name != "__name__")
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), form).strip()
