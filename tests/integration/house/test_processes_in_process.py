"""The entry points of the server processes, as far as they run inside a test. The rest is in tests/e2e."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from autobatch_batcher.__main__ import serve_until_signalled
from autobatch_proxy.__main__ import Server, main
from autobatch_shared.settings.definitions import BatcherSettings, ProxySettings
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import defaults_of


def test_gunicorn_listens_where_the_settings_say() -> None:
    settings = ProxySettings.model_construct(**defaults_of(ProxySettings) | {"port": 4567, "web_concurrency": 3})
    configured = Server(settings).cfg
    assert configured.settings["bind"].get() == ["0.0.0.0:4567"]
    assert configured.settings["workers"].get() == 3
    assert configured.settings["control_socket_disable"].get() is True


def test_gunicorn_listens_on_a_unix_socket_instead() -> None:
    settings = ProxySettings.model_construct(**defaults_of(ProxySettings) | {"uds_path": "/run/proxy.sock"})
    assert Server(settings).cfg.settings["bind"].get() == ["unix:/run/proxy.sock"]


async def test_gunicorn_gets_what_makes_a_worker() -> None:
    settings = ProxySettings.model_construct(**defaults_of(ProxySettings))
    assert isinstance(await Server(settings).load()(), web.AppRunner)


def test_the_proxy_refuses_wrong_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["proxy", "--port", "0"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2


def test_the_proxy_refuses_a_tokenizer_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a worker is forked, which would fail again and again."""
    monkeypatch.setattr("sys.argv", ["proxy", "--tokenizer-file", str(tmp_path / "tokenizer.json")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("autobatch: TOKENIZER_FILE: ")


async def test_a_batcher_ends_at_a_signal(redis_url: str, upstream: FakeUpstream) -> None:
    settings = BatcherSettings.model_construct(
        **defaults_of(BatcherSettings)
        | {"redis_url": SecretStr(redis_url), "inference_url": upstream.url, "batcher_port": 0}
    )
    serving = asyncio.create_task(serve_until_signalled([settings]))
    await asyncio.sleep(0)  # now it has its signal handlers
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 60)
