"""`autobatch tune` as a process, before a server that sleeps as its law says."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.loading import read
from tests.laws.real.sleeping_upstream import app_of
from tests.support.paths import ROOT
from tests.support.processes import SETTINGS

LAW = "padded:fixed_ms=60,per_unit_us=60"  # so slow that computing what it does takes little


@pytest.fixture
async def server() -> AsyncIterator[str]:
    runner = web.AppRunner(app_of(LAW), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_server_is_measured_and_the_verdict_written(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the figures are right is tested in virtual time; here real processes and real HTTP are all that is new."""
    (tmp_path / "own.txt").write_text("\n".join("word " * (1 + number % 40) for number in range(50)))
    words = ("tune", "--inference-url", server, "--texts", "own.txt", "--seconds", "6", "--p99", "2s", "--out", "found")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "autobatch_console", *words),
        env={name: value for name, value in os.environ.items() if name.lower() not in SETTINGS}
        | {"PYTHONPATH": str(ROOT)},
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
