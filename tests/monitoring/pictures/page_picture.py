"""/dashboard as a picture, in a headless Chromium."""

import asyncio
import base64
import io
import json

from PIL import Image

from tests.support.browser import Page
from tests.support.waiting import wait_until

COLOURS_IN_A_FILE = 128
REDRAWN_S = 2.5  # the page draws itself once a second
HEIGHT = 900  # of the window; the picture is of the whole page


async def show(page: Page, url: str, key: str) -> None:
    """Open the dashboard at this URL with an API key, and return once it has drawn the fleet."""
    await page.call("Page.navigate", url=url)
    await wait_until(lambda: page.evaluate("document.readyState === 'complete' && location.pathname === '/dashboard'"))
    await page.evaluate(f"sessionStorage.setItem('autobatch-key', {json.dumps(key)}); look()")
    await wait_until(lambda: page.evaluate("document.getElementById('clock').textContent !== ''"))


async def shot(page: Page, width: int, *, is_dark: bool) -> bytes:
    """Return the whole page as a PNG, in a window of this width."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
    await page.call("Emulation.setEmulatedMedia", features=[scheme])
    await page.call("Emulation.setDeviceMetricsOverride", width=width, height=HEIGHT, deviceScaleFactor=1, mobile=False)
    await asyncio.sleep(REDRAWN_S)
    height = await page.evaluate("document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = await page.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    made = io.BytesIO()
    picture.quantize(COLOURS_IN_A_FILE).save(made, format="PNG", optimize=True)
    return made.getvalue()
