"""What an operator sees of an incident: the board, screen by screen, /dashboard, and what `autobatch top --once` prints.

For a reader who is to tell what is wrong: nothing in a folder says which incident it is of, and the board's panel that names the alerts is left out.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.faults.world import World
from tests.monitoring.pictures.board_picture import picture
from tests.monitoring.pictures.page_picture import shot, show
from tests.monitoring.prometheus import Prometheus, board
from tests.support.browser import Page, find_browser, open_page

NAMESPACE = "autobatch"  # the world's
PAGE_WIDTH = 1100


def numbers_of(names: Sequence[str]) -> Mapping[str, int]:
    """Return a number for each name, always the same, in an order that is not theirs."""
    mixed = sorted(names, key=lambda name: sha256(name.encode()).digest())
    return {name: place for place, name in enumerate(mixed, 1)}


class Camera:
    """Takes the pictures of one incident into a folder.

    Args:
        page: An empty tab of a browser.
        folder: It is made.
        key: An API key that opens the dashboard, if there are keys.
    """

    def __init__(self, page: Page, folder: Path, key: str) -> None:
        self._page = page
        self._folder = folder
        self._key = key
        folder.mkdir(parents=True, exist_ok=True)

    async def take(self, world: World, prometheus: Prometheus, since_s: float) -> None:
        """Take them now; the board shows what has been since then, unix seconds."""
        now_s = time.time()
        (self._folder / "top.txt").write_bytes(await _printed_by_top(world.redis_url))
        await show(self._page, f"http://127.0.0.1:{world.nginx_port}/dashboard", self._key)
        (self._folder / "dashboard.png").write_bytes(await shot(self._page, PAGE_WIDTH, is_dark=False))
        # The board last, of the moment before the browser worked: drawing it stops the relays, which are of this process.
        for place, panels in enumerate(_screens(board()), 1):
            drawn = await picture(panels, prometheus, since_s, now_s)
            (self._folder / f"board-{place}.png").write_bytes(drawn)


@asynccontextmanager
async def open_camera(folder: Path, key: str) -> AsyncIterator[Camera]:
    """A camera, with a browser that has started before anything goes wrong, for that takes a core.

    Raises:
        FileNotFoundError: No browser is installed.
    """
    browser = find_browser()
    if browser is None:
        raise FileNotFoundError("no Chromium is on the PATH: apt-get install chromium")
    async with open_page(browser, "about:blank") as page:
        yield Camera(page, folder, key)


async def _printed_by_top(redis_url: str) -> bytes:
    words = ("top", "--once", "--redis-url", redis_url, "--namespace", NAMESPACE)
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "autobatch_console", *words, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await program.communicate()
    assert program.returncode == 0, printed
    return printed


def _screens(panels: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the panels by the headings that they are under, the numbers with the first; without that of the alerts."""
    screens: list[list[dict[str, Any]]] = [[]]
    top = 0
    for panel in sorted(panels, key=lambda each: (each["gridPos"]["y"], each["gridPos"]["x"])):
        place = panel["gridPos"]
        if any("ALERTS{" in target["expr"] for target in panel.get("targets", ())):
            top += place["h"]
            continue
        if panel["type"] == "row" and any(each["type"] == "row" for each in screens[-1]):
            screens.append([])
            top = place["y"]
        screens[-1].append({**panel, "gridPos": {**place, "y": place["y"] - top}})
    return screens
