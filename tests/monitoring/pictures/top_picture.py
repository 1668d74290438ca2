"""A frame of `autobatch top` as a picture: drawn by the command's own code, and letters in a terminal's place."""

import io
from itertools import islice

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from rich.color import Color
from rich.console import Console
from rich.style import Style

from autobatch_console.top.columns import EIGHTHS
from autobatch_console.top.history import ChartHistory
from autobatch_console.top.screen import frame
from autobatch_shared.watching.view import FleetView

FONT_SIZE, LINE_PX, EDGE_PX = 16, 20, 12
INK, PAPER = "#d8dee6", "#161a20"
#: The sixteen colours of a terminal, in their order.
COLOURS = (
    *("#161a20", "#f87171", "#4ade80", "#fbbf24", "#60a5fa", "#c084fc", "#2dd4bf", "#e5e9f0"),
    *("#77828f", "#fb7185", "#86efac", "#fde68a", "#7dd3fc", "#f472b6", "#67e8f9", "#ffffff"),
)
LINES = {"─": (True, False), "┼": (True, True)}  # drawn across, downwards


def drawn(view: FleetView, history: ChartHistory, width: int, height: int) -> Image.Image:
    """Return the frame in a terminal of so many columns and rows."""
    console = Console(width=width, height=height, file=io.StringIO(), color_system="256", force_terminal=True)
    lines = console.render_lines(frame(view, history, width, height), pad=False)
    fonts = [
        ImageFont.truetype(
            font_manager.findfont(font_manager.FontProperties("DejaVu Sans Mono", weight=weight)), FONT_SIZE
        )
        for weight in ("regular", "bold")
    ]
    cell_px = round(fonts[0].getlength("█"))
    picture = Image.new("RGB", (width * cell_px + 2 * EDGE_PX, height * LINE_PX + 2 * EDGE_PX), PAPER)
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(islice(lines, height)):
        x, y = EDGE_PX, EDGE_PX + row * LINE_PX
        for segment in line:
            style = segment.style or Style.null()
            ink, paper = _colours(style)
            for letter in segment.text:
                _draw_cell(draw, (x, y, cell_px), letter, ink, paper, fonts[bool(style.bold)])
                x += cell_px
    return picture


def _draw_cell(
    draw: ImageDraw.ImageDraw,
    cell: tuple[int, int, int],
    letter: str,
    ink: str,
    paper: str,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Draw one; columns and lines reach its edges, as in a terminal, which those of a font do not."""
    x, y, wide = cell
    right, bottom = x + wide - 1, y + LINE_PX - 1
    if paper != PAPER:
        draw.rectangle((x, y, right, bottom), fill=paper)
    if letter in EIGHTHS:
        if filled := round(EIGHTHS.index(letter) * LINE_PX / 8):
            draw.rectangle((x, bottom + 1 - filled, right, bottom), fill=ink)
    elif letter in LINES:
        is_across, is_down = LINES[letter]
        if is_across:
            draw.line((x, y + LINE_PX // 2, right, y + LINE_PX // 2), fill=ink)
        if is_down:
            draw.line((x + wide // 2, y, x + wide // 2, bottom), fill=ink, width=2)
    else:
        draw.text((x, y), letter, font=font, fill=ink)


def _colours(style: Style) -> tuple[str, str]:
    """Return a letter's colour, and that behind it."""
    ink, paper = _colour(style.color, INK), _colour(style.bgcolor, PAPER)
    return (paper, ink) if style.reverse else (ink, paper)


def _colour(colour: Color | None, otherwise: str) -> str:
    if colour is None or colour.is_default:
        return otherwise
    return (
        COLOURS[colour.number]
        if colour.number is not None and colour.number < len(COLOURS)
        else str(colour.get_truecolor().hex)
    )
