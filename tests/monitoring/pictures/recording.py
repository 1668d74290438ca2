"""`python -m tests.monitoring record [FOLDER]`: the moving picture of `top` and the pictures of /dashboard, with the demo's load.

They go into docs/watching. The board's picture there is the first of those of the incident "one API key floods".
"""

import asyncio
import sys
from pathlib import Path

from PIL import Image

from autobatch_console.top.demo import WAVE_S, demo_fleet
from autobatch_console.top.history import ChartHistory
from autobatch_console.top.top_command import open_activities
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.watching.viewing import view_of
from tests.monitoring.pictures.page_picture import shot
from tests.monitoring.pictures.top_picture import drawn
from tests.support.browser import find_browser, open_page
from tests.support.paths import ROOT

NAMESPACE = "recorded"
COLUMNS, ROWS = 80, 36
SEEN_FIRST_S = WAVE_S + 25.0  # so that the chart is full, and the tuner has learnt
FRAMES, LOOK_EVERY_S, SHOWN_MS = 40, 1.0, 500
COLOURS_IN_A_FILE = 32
#: File, width of the window, and whether it is dark.
PAGES = (("dashboard-dark", 1280, True), ("dashboard-light", 1280, False), ("dashboard-phone", 390, False))


async def record(folder: Path, browser: str) -> None:
    """Write the pictures into this folder."""
    async with (
        demo_fleet(NAMESPACE) as fleet,
        open_activities(fleet.redis_url, NAMESPACE) as activities,
        open_page(browser, f"{fleet.url}/dashboard") as page,
    ):
        await asyncio.sleep(SEEN_FIRST_S)
        frames = await _frames(activities)
        for name, width, is_dark in PAGES:
            (folder / f"{name}.png").write_bytes(await shot(page, width, is_dark=is_dark))
    frames[0].save(
        folder / "top.gif", save_all=True, append_images=frames[1:], duration=SHOWN_MS, loop=0, optimize=True
    )


async def _frames(activities: Activities) -> list[Image.Image]:
    """Return what `top` draws in the next seconds."""
    history, frames = ChartHistory(), []
    for _ in range(FRAMES):
        view = view_of(await activities.look())
        history.add(view.chart)
        frames.append(drawn(view, history, COLUMNS, ROWS).quantize(COLOURS_IN_A_FILE, dither=Image.Dither.NONE))
        await asyncio.sleep(LOOK_EVERY_S)
    return frames


def main(arguments: list[str]) -> int:
    """Record; return the exit status."""
    browser = find_browser()
    if browser is None:
        sys.stderr.write("no Chromium is on the PATH: apt-get install chromium\n")
        return 2
    asyncio.run(record(Path(*arguments) if arguments else ROOT / "docs" / "watching", browser))
    return 0
