"""One frame of `autobatch top` as a picture: what is in Redis, drawn by the command's own code, and letters in a terminal's place."""

import io
from itertools import islice

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from rich.color import Color
from rich.console import Console
from rich.style import Style

from autobatch_console.top.history import ChartHistory
from autobatch_console.top.screen import frame
from autobatch_console.top.top_command import open_activities
from autobatch_shared.watching.viewing import view_of

WIDTH, HEIGHT = 100, 44  # of the terminal
FONT_SIZE, LINE_PX = 16, 20
INK, PAPER = (220, 220, 220), (24, 24, 28)


async def top_picture(redis_url: str, namespace: str) -> bytes:
    """Return a PNG of the first frame that `top` draws of this fleet."""
    async with open_activities(redis_url, namespace) as activities:
        view = view_of(await activities.look())
    history = ChartHistory()
    history.add(view.chart)
    console = Console(width=WIDTH, height=HEIGHT, file=io.StringIO(), color_system="256", force_terminal=True)
    lines = console.render_lines(frame(view, history, WIDTH, HEIGHT), pad=False)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans Mono"), FONT_SIZE)
    cell_px = font.getlength("█")
    picture = Image.new("RGB", (round(WIDTH * cell_px), HEIGHT * LINE_PX), PAPER)
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(islice(lines, HEIGHT)):
        column = 0
        for segment in line:
            ink, paper = _colours(segment.style or Style.null())
            for letter in segment.text:
                corner = (column * cell_px, row * LINE_PX)
                if paper != PAPER:
                    draw.rectangle((*corner, corner[0] + cell_px, corner[1] + LINE_PX), fill=paper)
                draw.text(corner, letter, font=font, fill=ink)
                column += 1
    made = io.BytesIO()
    picture.save(made, format="PNG", optimize=True)
    return made.getvalue()


def _colours(style: Style) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a letter's colour, and that behind it."""
    ink, paper = _rgb(style.color, INK), _rgb(style.bgcolor, PAPER)
    return (paper, ink) if style.reverse else (ink, paper)


def _rgb(colour: Color | None, otherwise: tuple[int, int, int]) -> tuple[int, ...]:
    return otherwise if colour is None or colour.is_default else tuple(colour.get_truecolor())
