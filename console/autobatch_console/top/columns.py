"""Columns of eighths of a cell: what a terminal can draw of a number. Pure."""

from collections.abc import Sequence

EIGHTHS = " ▁▂▃▄▅▆▇█"


def upwards(values: Sequence[float], top: float, rows: int) -> list[str]:
    """Return lines of text, the highest first: a column for each value, full at `top`."""
    return ["".join(_cell(value / top * rows - (rows - 1 - row)) for value in values) for row in range(rows)]


def downwards(values: Sequence[float], deep: float, rows: int) -> list[list[tuple[str, bool]]]:
    """Return lines of cells, the highest first: a column that hangs from the top for each value, full at `deep`.

    A cell is a character and whether it is drawn with its colours changed over: there are no eighths that hang.
    """
    lines = []
    for row in range(rows):
        line = []
        for value in values:
            filled = round(min(max(value / deep * rows - row, 0.0), 1.0) * 8)
            if value > 0 and row == 0:
                filled = max(filled, 1)
            line.append((EIGHTHS[8 - filled], True) if 0 < filled < 8 else (EIGHTHS[filled], False))
        lines.append(line)
    return lines


def spread_over(values: Sequence[float], width: int) -> list[float]:
    """Return as many values as there are columns: the most of several seconds, or a second several times."""
    count = len(values)
    found = []
    for column in range(width):
        first = column * count // width
        last = max((column + 1) * count // width, first + 1)
        found.append(max(values[first:last]))
    return found


def round_top(value: float) -> float:
    """Return a round number that is at least this one, for the end of an axis."""
    if value <= 1:
        return 1.0
    step = 1.0
    while step * 10 <= value:
        step *= 10
    return next(times * step for times in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if times * step >= value)


def _cell(rows: float) -> str:
    return EIGHTHS[round(min(max(rows, 0.0), 1.0) * 8)]
