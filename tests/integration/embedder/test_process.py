"""`autobatch embedder` as a process: start, stop, and its messages when it cannot start."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.support.paths import ROOT
from tests.support.raw_http import wait_until_refused

Environment = dict[str, str]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path),
        "EMBEDDER_PORT": "0",
    }


@asynccontextmanager
async def embedder(environment: Environment) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "autobatch_embedder", env=environment, stderr=asyncio.subprocess.PIPE, cwd="/"
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def event(process: asyncio.subprocess.Process, name: str) -> dict[str, Any]:
    """The fields of the next log line of that name."""
    assert process.stderr
    async for line in process.stderr:
        fields: dict[str, Any] = orjson.loads(line)
        if fields["event"] == name:
            return fields
    raise AssertionError(name)


@pytest.mark.timeout(300)  # the graph is built, and the model loaded twice
async def test_a_second_start_uses_what_the_first_found_and_sigterm_finishes_requests(
    environment: Environment, tmp_path: Path
) -> None:
    async with embedder(environment) as process:
        first = await event(process, "cores_divided")
        await event(process, "started")
        process.terminate()
        assert await process.wait() == 0
    settle(tmp_path)
    built = kept_files(tmp_path)
    has_choice = first["chosen"].startswith("measured")  # not where there is one core
    assert {path.suffix for path in built} == {".onnx", ".data", ".sums", *([".json"] if has_choice else [])}

    async with embedder(environment) as process, aiohttp.ClientSession() as session:
        again = await event(process, "cores_divided")
        assert again["chosen"] == ("remembered" if has_choice else first["chosen"])
        assert (again["workers"], again["threads"]) == (first["workers"], first["threads"])
        port = (await event(process, "started"))["port"]
        url = f"http://127.0.0.1:{port}"
        # About a second of work, so that the signal comes in its middle.
        body = {"inputs": ["word " * 300] * 32}
        reply = asyncio.create_task(post(session, f"{url}/embed", body))
        await wait_until_admitted(session, url, 32)

        process.send_signal(signal.SIGTERM)
        await event(process, "draining")
        await wait_until_refused(port)
        assert not reply.done()

        status, vectors = await reply
        assert (status, len(vectors)) == (200, 32)
        await event(process, "stopped")
        assert await process.wait() == 0
    assert kept_files(tmp_path) == built


def settle(cache_home: Path) -> None:
    """Make of a choice that was measured on a busy machine one that is not measured again."""
    for file in cache_home.rglob("cores-*.json"):
        file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), "disturbed_starts": 0}))


def kept_files(cache_home: Path) -> dict[Path, tuple[int, int]]:
    """The graph, its constants and checksums, how the cores are divided: inode and time of writing by path."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (cache_home / "autobatch").iterdir()}


async def post(session: aiohttp.ClientSession, url: str, body: object) -> tuple[int, list[Any]]:
    async with session.post(url, json=body) as response:
        return response.status, await response.json()


async def wait_until_admitted(session: aiohttp.ClientSession, url: str, inputs: int) -> None:
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"{url}/metrics") as response:
                if f"te_embed_count {inputs}.0" in await response.text():
                    return


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        (lambda tmp, _: {"EMBEDDER_MODEL_DIR": str(tmp)}, 2, "config.json: no such file"),
        (lambda *_: {"EMBEDDER_THREADS": "0"}, 2, "EMBEDDER_THREADS"),
    ],
)
async def test_a_setting_that_cannot_be_served_is_named(
    environment: Environment, tmp_path: Path, changed: Callable[..., Environment], status: int, said: str
) -> None:
    async with embedder(environment | changed(tmp_path, None)) as process:
        _, stderr = await process.communicate()

    assert process.returncode == status
    assert said in stderr.decode()
    assert "Traceback" not in stderr.decode()


async def test_a_taken_port_is_named(environment: Environment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with embedder(environment | {"EMBEDDER_PORT": str(port)}) as process:
            _, stderr = await process.communicate()

    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in stderr.decode()
    assert "Traceback" not in stderr.decode()
