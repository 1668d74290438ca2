"""`autobatch tune` as a process, before a server that sleeps as its law says."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from autobatch_batcher.advising.measuring.measurement import measure
from autobatch_batcher.advising.measuring.sample_texts import built_in_texts
from autobatch_batcher.advising.measuring.upstream_timer import MeasuringError
from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.loading import read
from tests.laws.real.sleeping_upstream import app_of
from tests.support.fake_upstream import FakeUpstream, tei_error
from tests.support.paths import ROOT
from tests.support.processes import SETTINGS

pytestmark = pytest.mark.timeout(300)  # half a minute of calls, beside which a busy machine computes

LAW = "padded:fixed_ms=60,per_unit_us=60"  # so slow that computing what it does takes little


def clean_environment() -> dict[str, str]:
    """Without settings of the environment that runs the tests."""
    clean = {name: value for name, value in os.environ.items() if name.lower() not in SETTINGS}
    return clean | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
async def server() -> AsyncIterator[str]:
    runner = web.AppRunner(app_of(LAW), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class HangsForMany:
    """Answers a few clients at once; more of them wait for ever."""

    def __init__(self) -> None:
        self._asking = 0

    async def __call__(self, _texts: list[str]) -> None:
        self._asking += 1
        if self._asking > 4:
            await asyncio.Event().wait()
        self._asking -= 1


async def test_one_that_is_stopped_has_said_what_it_measured(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.behave = HangsForMany()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "autobatch_batcher.advising", "--inference-url", upstream.url, "--seconds", "1"),
        env=clean_environment(),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = (await process.stdout.readuntil(b"16 clients directly")).decode()
    process.send_signal(signal.SIGINT)
    err = (await process.communicate())[1].decode()

    assert (130, 1) == (process.returncode, err.count("\n")), err
    assert "no file is written" in err
    assert re.search(r"\n1 client directly, .*\n  \d.* texts/s, p50 \d+ ms, p99 \d+ ms\n4 clients", said)


async def test_a_server_that_refuses_all_is_said_in_words() -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=429)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(app) as busy:
        url = str(busy.make_url("")).rstrip("/")
        settings = BatcherSettings.model_construct(inference_url=url)
        with pytest.raises(MeasuringError, match=f"^{url}: status 429 at /info$"):
            await measure(settings, built_in_texts(), 1.0, print)


async def test_a_server_that_fails_meanwhile_is_told_with_what_it_said(upstream: FakeUpstream) -> None:
    async def refuse(_texts: list[str]) -> web.Response:
        return tei_error(429, "Model is overloaded", "Overloaded")

    def told(line: str) -> None:
        if line.startswith("4 clients directly"):
            upstream.behave = refuse

    settings = BatcherSettings.model_construct(inference_url=upstream.url)
    said = rf"^{upstream.url}: a call of 1 text was answered 429; and so all \d+ of 4 clients$"
    with pytest.raises(MeasuringError, match=said):
        await measure(settings, built_in_texts(), 1.0, told)


async def test_answers_without_vectors_are_no_measurement(upstream: FakeUpstream) -> None:
    def told(line: str) -> None:
        if line.startswith("1 client directly"):  # after the first half of the single calls
            upstream.rows = lambda _texts: b"[]"

    settings = BatcherSettings.model_construct(inference_url=upstream.url)
    with pytest.raises(MeasuringError, match=rf"^{upstream.url}: a call of \d+ texts? was not answered with vectors: "):
        await measure(settings, built_in_texts(), 1.0, told)


async def test_a_server_is_measured_and_the_verdict_written(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the figures are right is tested in virtual time; here real processes and real HTTP are all that is new."""
    (tmp_path / "own.txt").write_text("\n".join("word " * (1 + number % 40) for number in range(50)))
    words = ("tune", "--inference-url", server, "--texts", "own.txt", "--seconds", "6", "--p99", "2s", "--out", "found")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "autobatch_console", *words),
        env=clean_environment(),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out = (await process.communicate())[0].decode()
    assert 0 == process.returncode, out
    report = orjson.loads((tmp_path / "found" / "report.json").read_bytes())
    verdict = report["verdict"]
    assert f"\n{verdict}\n" in out
    assert "p99 within 2000 ms" in verdict
    assert [1, 4, 16, 64, 256] == [gain["clients"] for gain in report["gains"]]
    assert verdict[1:] in (tmp_path / "found" / "report.html").read_text().partition("</h1>")[0]
    monkeypatch.chdir(tmp_path / "found")
    settings = read(BatcherSettings, [])
    assert (server, "tei", 2000) == (settings.inference_url, settings.inference_dialect, settings.target_p99_ms)
