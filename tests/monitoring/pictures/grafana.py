"""What Grafana makes of a panel's file and of Prometheus's answers: names of series, columns of tables, values in units."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from tests.monitoring.prometheus import Prometheus, as_asked

STEP_S = 2
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))
MINUTES_FROM_S, HOURS_FROM_S = 120, 3600
NAMED_COLOURS = {"green": "#56a64b", "orange": "#ff780a", "red": "#e02f44"}  # as Grafana has them

Series = Mapping[str, list[tuple[float, float]]]


async def series_of(panel: Mapping[str, Any], prometheus: Prometheus, start_s: float, end_s: float) -> Series:
    """Return what a panel's queries give over this time, unix seconds, by the names in its legend; a row of a table: its cells, with tabs between them."""
    series: dict[str, list[tuple[float, float]]] = {}
    for target in panel.get("targets", ()):
        for labels, points in await prometheus.over_time(as_asked(target["expr"]), start_s, end_s, STEP_S):
            is_row = panel["type"] == "table"
            if is_row and points[-1][0] < end_s - STEP_S:
                continue  # a table is of now
            name = (
                "\t".join(labels.get(each, "") for each in columns_of(panel))
                if is_row
                else _legend(target["legendFormat"], labels)
            )
            series[name] = points
    return series


def columns_of(panel: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels that are columns of a table, in their order, with the columns' headings."""
    (organized,) = (each["options"] for each in panel["transformations"] if each["id"] == "organize")
    order, headings = organized["indexByName"], organized["renameByName"]
    return {
        label: headings.get(label, label)
        for label in sorted(order, key=order.__getitem__)
        if not organized["excludeByName"].get(label)
    }


def colour_of(colour: str) -> str:
    """Return a colour that a file of Grafana names; any other is what it is."""
    return NAMED_COLOURS.get(colour, colour)


def shown(value: float, unit: str) -> str:
    """Return a value in one of Grafana's units."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s" and isfinite(value) and abs(value) >= MINUTES_FROM_S:
        return f"{value / 3600:.3g} h" if abs(value) >= HOURS_FROM_S else f"{value / 60:.3g} min"
    suffix = {"s": " s", "bytes": "B", "reqps": "/s"}.get(unit, "")
    if value == 0 or not isfinite(value):
        return f"{value:.3g}{suffix and ' '}{suffix.strip()}"
    prefixes = PREFIXES if unit in ("s", "bytes") else PREFIXES[:4]  # a thousandth of a request is none
    factor, prefix = next(((f, p) for f, p in prefixes if abs(value) >= f), prefixes[-1])
    return f"{value / factor:.3g}{suffix and ' '}{prefix}{suffix.strip()}"


def _legend(form: str, labels: Mapping[str, str]) -> str:
    if not form:
        return " ".join(value for name, value in labels.items() if name != "__name__")
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), form).strip()
