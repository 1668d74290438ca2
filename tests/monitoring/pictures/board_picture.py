"""The board as a picture: Grafana's JSON, the answers of a real Prometheus, and matplotlib in Grafana's place.

Of Grafana's options it knows those that our board has: units, colours and dashes by a series' name, words for values, thresholds.
"""

import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf, isfinite
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tests.monitoring.pictures.grafana import STEP_S, Series, colour_of, columns_of, series_of, shown
from tests.monitoring.prometheus import Prometheus

mpl.use("Agg")

COLUMNS = 24  # of Grafana's grid
INCH, ROW_INCH, DPI = 0.62, 0.34, 80  # of a column and of a row of it
TITLE_PT, NOTE_PT, LEGEND_PT, TICK_PT = 12, 8, 9, 8  # readable at half of the picture's size
LETTER_INCH, CELL_INCH = 0.067, 0.082  # of a note, of a table
AROUND_INCH = 1.02  # above the axes, with the title and the note, and below, without the legend
NOTE_LINES = 2  # Grafana shows all of it behind the title's mark
GROUND, CARD, EDGE, INK, SOFT = "#f4f5f5", "#ffffff", "#d8dce1", "#1f2933", "#6b7680"
PALETTE = ("#3274d9", "#ff9830", "#56a64b", "#a352cc", "#e02f44", "#1fa59b", "#8f5b2e", "#d65db1", "#7c8896", "#b5a300")
SERIES_SHOWN = 6
TICKS_S = (5, 10, 15, 30, 60, 120, 300, 600, 900)


async def picture(panels: Sequence[Mapping[str, Any]], prometheus: Prometheus, start_s: float, end_s: float) -> bytes:
    """Return a PNG of these panels of a board over this time, unix seconds, from the first that is known."""
    answers = [await series_of(panel, prometheus, start_s, end_s) for panel in panels]
    drawn = [series for panel, series in zip(panels, answers, strict=True) if panel["type"] != "stat"]
    first_s = min((points[0][0] for series in drawn for points in series.values() if points), default=start_s)
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(COLUMNS * INCH, rows * ROW_INCH), dpi=DPI, facecolor=GROUND)
    for panel, series in zip(panels, answers, strict=True):
        _Panel(figure, panel, rows, (first_s, end_s)).draw(series)
    made = io.BytesIO()
    figure.savefig(made, format="png", facecolor=GROUND)
    return made.getvalue()


class _Panel:
    """One panel of a figure of so many rows, over this time."""

    def __init__(self, figure: Figure, panel: Mapping[str, Any], rows: int, times_s: tuple[float, float]) -> None:
        self._figure, self._panel, self._times_s = figure, panel, times_s
        place = panel["gridPos"]
        self._left, self._width = place["x"] / COLUMNS, place["w"] / COLUMNS
        self._bottom, self._height = 1 - (place["y"] + place["h"]) / rows, place["h"] / rows
        self._inches = place["w"] * INCH, place["h"] * ROW_INCH

    @property
    def _defaults(self) -> Mapping[str, Any]:
        defaults: Mapping[str, Any] = self._panel["fieldConfig"]["defaults"]
        return defaults

    def draw(self, series: Series) -> None:
        wide, high = self._inches
        left, bottom, width, height = self._left, self._bottom, self._width, self._height
        if self._panel["type"] == "row":
            self._write(0.1, high * 0.35, self._panel["title"], fontsize=TITLE_PT + 2, weight="bold")
            return
        edge_x, edge_y = 0.04 / wide * width, 0.04 / high * height
        card = Rectangle(
            (left + edge_x, bottom + edge_y),
            width - 2 * edge_x,
            height - 2 * edge_y,
            transform=self._figure.transFigure,
            facecolor=CARD,
            edgecolor=EDGE,
            zorder=-1,
        )
        self._figure.add_artist(card)
        self._write(0.14, high - 0.26, self._panel["title"], fontsize=TITLE_PT, weight="bold")
        if self._panel["type"] == "stat":
            self._draw_numbers(series)
            return
        note = textwrap.wrap(
            self._panel.get("description", ""),
            max(10, int((wide - 0.3) / LETTER_INCH)),
            max_lines=NOTE_LINES,
            placeholder=" …",
        )
        self._write(0.14, high - 0.32, "\n".join(note), fontsize=NOTE_PT, color=SOFT, va="top")
        if self._panel["type"] == "table":
            self._draw_table(series)
            return
        if not any(isfinite(value) for points in series.values() for _, value in points):
            self._write(wide / 2, high / 2, "none", ha="center", va="center", fontsize=9, color=SOFT)
            return
        named = len(self._loud(series)) + (len(series) > SERIES_SHOWN)
        is_bars = self._panel["type"] == "state-timeline"
        legend = 0.0 if is_bars else 0.19 * (-(-named // self._legend_columns(series)))
        start = 0.62 if not is_bars else 0.2
        axes = self._axes(start, 0.36 + legend, wide - start - 0.18, high - AROUND_INCH - legend)
        axes.set_xlim(*self._times_s)
        if is_bars:
            self._draw_bars(axes, series)
        else:
            self._draw_lines(axes, series, legend)

    def _draw_table(self, series: Series) -> None:
        wide, high = self._inches
        headings = list(columns_of(self._panel).values())
        rows = [name.split("\t") for name in sorted(series)]
        widths = [max(map(len, column)) + 2 for column in zip(headings, *rows, strict=True)]
        letter_inch = min(CELL_INCH, (wide - 0.28) / sum(widths))
        for line, cells in enumerate((headings, *rows)):
            x = 0.14
            for cell, letters in zip(cells, widths, strict=True):
                how = {} if line else {"color": SOFT, "weight": "bold"}
                self._write(x, high - 0.8 - 0.22 * line, cell, fontsize=LEGEND_PT * letter_inch / CELL_INCH, **how)
                x += letters * letter_inch

    def _axes(self, x: float, y: float, wide: float, high: float) -> Axes:
        (all_wide, all_high), width, height = self._inches, self._width, self._height
        axes = self._figure.add_axes(
            (
                self._left + x / all_wide * width,
                self._bottom + y / all_high * height,
                wide / all_wide * width,
                high / all_high * height,
            )
        )
        end_s = self._times_s[1]
        axes.set_facecolor(CARD)
        axes.tick_params(labelsize=TICK_PT, colors=SOFT, length=0)
        step_s = next((each for each in TICKS_S if 5 * each >= end_s - self._times_s[0]), TICKS_S[-1])
        ticks_s = [each * step_s for each in range(int((end_s - self._times_s[0]) / step_s) + 1)]
        axes.set_xticks([end_s - each for each in ticks_s], [f"-{each} s" if each else "now" for each in ticks_s])
        axes.grid(alpha=0.5, color=EDGE, linewidth=0.7)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def _write(self, x: float, y: float, text: str, **how: Any) -> None:
        (wide, high), width, height = self._inches, self._width, self._height
        self._figure.text(
            self._left + x / wide * width, self._bottom + y / high * height, text, **({"color": INK} | how)
        )

    def _draw_numbers(self, series: Series) -> None:
        wide, high = self._inches
        last = {name: points[-1][1] for name, points in series.items() if points}
        if self._panel["options"].get("textMode") == "name":  # a stat that only names what there is now
            now_s = self._times_s[1] - 2 * STEP_S
            names = [name for name, points in series.items() if points and points[-1][0] >= now_s]
            text = "   ".join(sorted(names)) or self._defaults.get("noValue", "none")
            self._write(0.14, high * 0.24, text, fontsize=15, weight="bold", color=PALETTE[4] if names else PALETTE[2])
            return
        if not last:
            self._write(wide / 2, high * 0.36, self._defaults.get("noValue", "no data"), ha="center", fontsize=15)
            return
        for place, (name, value) in enumerate(last.items()):
            x = wide * (place + 0.5) / len(last)
            text, colour = self._worded(name, value)
            size = 19 if len(last) == 1 else 15 if len(text) < 6 else 11
            self._write(x, high * 0.36, text, ha="center", fontsize=size, weight="bold", color=colour or INK)
            self._write(x, high * 0.14, name, ha="center", fontsize=LEGEND_PT, color=SOFT)

    def _worded(self, name: str, value: float) -> tuple[str, str]:
        """Return a value as it is shown, and its colour; empty: none of its own."""
        of_name = self._of_name(name)
        for mapping in (*of_name.get("mappings", ()), *self._defaults.get("mappings", ())):
            options = mapping["options"]
            if mapping["type"] == "special" and not isfinite(value):
                return options["result"]["text"], SOFT
            if mapping["type"] == "value" and (said := options.get(f"{value:g}")):
                return said["text"], colour_of(said.get("color", ""))
            if mapping["type"] == "range" and options["from"] <= value <= options["to"]:
                result = options["result"]
                return result.get("text", shown(value, self._defaults["unit"])), colour_of(result.get("color", ""))
        colour = of_name.get("color", {}).get("fixedColor", "") if value else ""
        for step in self._defaults.get("thresholds", {}).get("steps", ()):
            if value >= (-inf if step["value"] is None else step["value"]):
                colour = step["color"]
        return shown(value, self._defaults["unit"]), colour_of(colour)

    def _of_name(self, name: str) -> dict[str, Any]:
        """Return the overrides of a series."""
        found = {}
        for override in self._panel["fieldConfig"]["overrides"]:
            matcher = override["matcher"]
            is_regexp = matcher["id"] == "byRegexp"
            if re.search(matcher["options"].strip("/"), name) if is_regexp else matcher["options"] == name:
                found.update({each["id"]: each["value"] for each in override["properties"]})
        return found

    def _draw_bars(self, axes: Axes, series: Series) -> None:
        end_s = self._times_s[1]
        for row, name in enumerate(sorted(series)):
            for (at, value), (until, _) in pairwise([*series[name], (end_s, 0.0)]):
                axes.barh(
                    -row, min(until - at, STEP_S), left=at, height=0.5, color=self._worded("", value)[1] or PALETTE[0]
                )
            before = ""
            for at, value in series[name]:
                if (text := self._worded("", value)[0]) != before:
                    axes.text(at, -row, f" {text}", va="center", fontsize=LEGEND_PT, color="white", weight="bold")
                before = text
            axes.text(self._times_s[0], 0.34 - row, name, fontsize=LEGEND_PT, color=INK)
        axes.set_ylim(-len(series) + 0.4, 0.8)
        axes.set_yticks([])

    def _loud(self, series: Series) -> list[str]:
        """Return the names of the series that are drawn: the highest."""
        return sorted(series, key=lambda name: -max((value for _, value in series[name]), default=-inf))[:SERIES_SHOWN]

    def _legend_columns(self, series: Series) -> int:
        widest = max(map(len, self._loud(series)), default=1)
        return max(1, int((self._inches[0] - 0.3) / (0.5 + 0.085 * widest)))

    def _draw_lines(self, axes: Axes, series: Series, legend_inch: float) -> None:
        is_stacked = "stacking" in self._defaults["custom"]
        base: dict[float, float] = {}
        free = iter(self._free_colours())
        for name in self._loud(series):
            how = self._of_name(name)
            colour = how["color"]["fixedColor"] if "color" in how else next(free)
            points = [(at, value) for at, value in series[name] if isfinite(value)]
            times = [at for at, _ in points]
            if is_stacked:
                below = [base.get(at, 0.0) for at, _ in points]
                above = [low + value for low, (_, value) in zip(below, points, strict=True)]
                base.update((at, high) for (at, _), high in zip(points, above, strict=True))
                axes.fill_between(times, below, above, alpha=0.75, label=name, linewidth=0, color=colour)
            else:
                dashes = "--" if "custom.lineStyle" in how else "-"
                axes.plot(times, [value for _, value in points], dashes, label=name, linewidth=1.6, color=colour)
        if len(series) > SERIES_SHOWN:
            axes.plot([], [], label=f"and {len(series) - SERIES_SHOWN} lower", color=CARD)
        self._set_scale(axes, has_values=any(value for points in series.values() for _, value in points))
        high = self._inches[1] - AROUND_INCH - legend_inch
        axes.legend(
            fontsize=LEGEND_PT,
            loc="upper left",
            bbox_to_anchor=(-0.06, -0.2 / high),
            ncols=self._legend_columns(series),
            frameon=False,
            borderpad=0,
            labelspacing=0.25,
            handlelength=1.8,
            labelcolor=INK,
        )

    def _free_colours(self) -> Iterator[str]:
        """Colours of the palette, without those that a series has by its name; again from the first when all are used."""
        taken = {
            each["value"]["fixedColor"].lower()
            for override in self._panel["fieldConfig"]["overrides"]
            for each in override["properties"]
            if each["id"] == "color"
        }
        while True:
            yield from (colour for colour in PALETTE if colour not in taken)

    def _set_scale(self, axes: Axes, *, has_values: bool) -> None:
        defaults, custom = self._defaults, self._defaults["custom"]
        low, high = axes.get_ylim()
        high = high if has_values else 1.0
        low, high = min(low, custom.get("axisSoftMin", low)), max(high, custom.get("axisSoftMax", high))
        low = 0.0 if "min" in defaults else low
        axes.set_ylim(low, max(defaults.get("max", high), low + 1e-9) * 1.02)
        if "thresholdsStyle" in custom:
            for step in defaults["thresholds"]["steps"]:
                if step["value"] is not None:
                    axes.axhline(step["value"], color=PALETTE[4], linewidth=1, linestyle=(0, (2, 3)))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, defaults["unit"])))
