"""A page in a headless Chromium, driven over its debugging protocol."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from tests.support.waiting import wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # root cannot have a sandbox; the only pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
START_S = 60.0
REQUEST = "Network.requestWillBeSent"
EXCEPTION = "Runtime.exceptionThrown"
LOGGED = "Log.entryAdded"


def find_browser() -> str | None:
    """Return the program, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab.

    Attributes:
        asked: URLs of all its requests so far.
        faults: Its exceptions, and errors of its log: a request that failed or was refused by its policy.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.asked: list[str] = []
        self.faults: list[Any] = []
        self._socket = socket
        self._calls = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and handle the events before its answer."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": params})
        async with asyncio.timeout(60):
            while (message := await self._socket.receive_json()).get("id") != self._calls:
                self._take(message.get("method"), message.get("params", {}))
        assert "result" in message, message
        result: dict[str, Any] = message["result"]
        return result

    def _take(self, event: str | None, params: dict[str, Any]) -> None:
        if event == REQUEST:
            self.asked.append(params["request"]["url"])
        elif event == EXCEPTION or (event == LOGGED and params["entry"]["level"] == "error"):
            self.faults.append(params)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        outcome = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return outcome["result"].get("value")

    async def text(self, selector: str) -> str | None:
        """The text of the first element, or None."""
        found: str | None = await self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")
        return found

    async def click(self, selector: str) -> None:
        """Click the first element, once it is there."""
        script = f"((e) => (e?.click(), !!e))(document.querySelector({json.dumps(selector)}))"
        await wait_until(lambda: self.evaluate(script))


def _debugging_port(profile: str) -> str | None:
    """Return the port once the browser has written all of it."""
    file = Path(profile, "DevToolsActivePort")
    port, end, _ = file.read_text().partition("\n") if file.exists() else ("", "", "")
    return port if end else None


@asynccontextmanager
async def open_page(program: str, url: str) -> AsyncIterator[Page]:
    """Open a URL in a browser with a profile of its own."""
    with TemporaryDirectory(prefix="ab-", ignore_cleanup_errors=True) as folder:
        browser = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # so that its helpers end with it
        )
        try:
            await wait_until(lambda: _debugging_port(folder), START_S)
            host = f"http://127.0.0.1:{_debugging_port(folder)}"
            async with aiohttp.ClientSession() as http:
                async with http.get(f"{host}/json/list") as answer:
                    (tab,) = [tab for tab in await answer.json() if tab["type"] == "page"]
                async with http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Network", "Runtime", "Log"):
                        await page.call(f"{domain}.enable")
                    await page.call("Page.navigate", url=url)
                    yield page
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            await browser.wait()
