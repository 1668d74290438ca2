"""`autobatch top` and the page at /dashboard, with real processes."""

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

from tests.support.browser import find_browser, open_page
from tests.support.fake_upstream import FakeUpstream
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

PROGRAM = find_browser()
KEY = "look-at-me"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="ab-") as path:
        yield Path(path)


@pytest.fixture
async def fleet(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """The URLs of a worker that asks for a key and of its Redis; a request was answered."""
    redis, upstream = RedisServer(folder), FakeUpstream()
    redis.start()
    await upstream.start()
    port = free_port()
    processes = [
        Process(folder, "batcher", redis_url=redis.url, inference_url=upstream.url, batcher_port=0),
        Process(folder, "proxy", redis_url=redis.url, host="127.0.0.1", port=port, web_concurrency=1, api_keys=KEY),
    ]
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as http:
            await wait_until(lambda: is_answered(http, url))
        yield url, redis.url
    finally:
        for process in processes:
            process.close()
        await upstream.stop()
        redis.kill()


async def is_answered(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.post(f"{url}/embed", json={"inputs": "hello"}) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def top(folder: Path, redis_url: str, *flags: str) -> str:
    command = [sys.executable, "-P", "-m", "autobatch_console", "top", "--redis-url", redis_url, *flags]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "") == (ended.returncode, ended.stderr)
    return ended.stdout


async def view_of(folder: Path, redis_url: str) -> dict[str, Any]:
    said = await asyncio.to_thread(top, folder, redis_url, "--once", "--json")  # the upstream is in this loop
    view: dict[str, Any] = json.loads(said)
    return view


async def test_top_shows_the_fleet_that_runs(folder: Path, fleet: tuple[str, str]) -> None:
    _, redis_url = fleet

    async def is_complete() -> bool:
        view = await view_of(folder, redis_url)
        is_charted = any(each["answered"] for each in view["chart"])
        return bool(is_charted and view["batches"] and view["workers"] and view["took"]["p50_ms"])

    await wait_until(is_complete)
    view = await view_of(folder, redis_url)
    assert "bad" not in [each["level"] for each in view["troubles"]]
    assert ("up", "served") == (view["upstreams"][0]["state"], view["models"][0]["state"])
    frame = await asyncio.to_thread(top, folder, redis_url, "--once")
    assert max(map(len, frame.splitlines())) <= 80
    assert view["workers"][0]["id"] in frame


def test_top_says_what_it_could_not_reach(folder: Path) -> None:
    command = [sys.executable, "-P", "-m", "autobatch_console", "top", "--once", "--redis-url", "redis://127.0.0.1:1"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert 1 == ended.returncode
    assert "REDIS_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def empty_redis_url(folder: Path) -> Iterator[str]:
    redis = RedisServer(folder)
    redis.start()
    yield redis.url
    redis.kill()


def test_top_replaces_the_marks_that_a_terminal_does_not_have(folder: Path, empty_redis_url: str) -> None:
    command = [sys.executable, "-P", "-m", "autobatch_console", "top", "--once", "--redis-url", empty_redis_url]
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=60, check=False)
    assert (0, b"") == (ended.returncode, ended.stderr)
    assert "no batcher" in ended.stdout.decode("latin-1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_top_says_that_its_output_cannot_be_written(folder: Path, empty_redis_url: str) -> None:
    command = [sys.executable, "-P", "-m", "autobatch_console", "top", "--once", "--redis-url", empty_redis_url]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    said = b"autobatch: the output cannot be written: No space left on device\n"
    assert (1, said) == (ended.returncode, ended.stderr)


def test_a_terminal_that_cannot_be_drawn_on_gets_a_frame_after_the_other(folder: Path, empty_redis_url: str) -> None:
    command = [sys.executable, "-P", "-m", "autobatch_console", "top", "--redis-url", empty_redis_url]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "TERM": "dumb"}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    try:
        shown = b""
        while shown.count(b"no batcher: nothing can be answered") < 2:
            assert select.select([ours], [], [], 60)[0]
            shown += os.read(ours, 65536)
        assert b"\x1b" not in shown
    finally:
        process.terminate()
        process.wait(60)
        os.close(ours)
        os.close(theirs)


@pytest.mark.skipif(PROGRAM is None, reason="needs a Chromium or Chrome on the PATH")
async def test_the_page_asks_for_the_key_and_then_draws(fleet: tuple[str, str]) -> None:
    url, _ = fleet
    async with open_page(str(PROGRAM), f"{url}/") as page:
        await wait_until(
            lambda: page.evaluate("document.querySelector('#key-form') && !document.querySelector('#key-form').hidden")
        )
        # Each refusal counts as a request without a key, of which an alert tells: from here on only a key is a reason to ask.
        await page.evaluate("window.wait = setTimeout; window.setTimeout = (step) => { window.step = step; }")
        await wait_until(lambda: page.evaluate("!!window.step"))
        asked = len(page.asked)
        for _ in range(3):
            await page.evaluate("window.step()")
        assert asked == len(page.asked)
        await page.evaluate("window.setTimeout = window.wait; window.step()")
        # What the policy refuses and what throws; that the first look gets a 401 is how it learns of the key.
        faults = [each for each in page.faults if "401" not in str(each)]
        await page.evaluate(f"document.querySelector('#key').value = {json.dumps(KEY)}")
        await page.click("#key-form button")
        await wait_until(lambda: page.evaluate("document.querySelectorAll('#workers .line').length"))
        await wait_until(lambda: page.evaluate("document.querySelectorAll('#batches rect').length"))

        assert "autobatch" == await page.evaluate("document.title")
        assert f"{url}/dashboard" == await page.evaluate("location.href")
        assert [] == faults == [each for each in page.faults if "401" not in str(each)]
        assert [] == [asked for asked in page.asked if not asked.startswith((f"{url}/", "data:"))]
        for width in (390, 1280):
            await page.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 400
            )
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
