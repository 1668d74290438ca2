"""The flags, variables and keys that users of other batching proxies have (docs/migrating.md): each is understood as it is."""

from pathlib import Path

import pytest

from autobatch_console.up.settings import UpSettings, flags_as_environment
from autobatch_shared.settings.definitions import BatcherSettings, ProxySettings
from autobatch_shared.settings.loading import SettingsError, read

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def test_the_flags_of_the_proxy_for_tei(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["--max-batch-size", "8", "--max-wait-time-ms", "50", "--port", "3001", "--inference-url", "http://tei:80"]
    settings = read(UpSettings, argv)
    assert (settings.max_batch_size, settings.max_wait_time_ms, settings.port) == (8, 50, 3001)
    assert settings.inference_url == "http://tei:80"

    for name, value in flags_as_environment(argv).items():
        monkeypatch.setenv(name, value)

    batcher, proxy = read(BatcherSettings, []), read(ProxySettings, [])
    assert (batcher.max_batch_size, batcher.max_wait_time_ms, batcher.inference_urls) == (8, 50, ("http://tei:80",))
    assert (proxy.max_batch_size, proxy.port) == (8, 3001)


@pytest.mark.parametrize(("size", "wait_ms", "workers"), [(1, 1, 1), (32, 100, 4), (1000, 10_000, 16)])
def test_the_file_and_the_variables_of_the_proxy_with_a_config_toml(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, wait_ms: int, workers: int
) -> None:
    (tmp_path / "config.toml").write_text(
        f"max_batch_size = {size}\nmax_wait_time_ms = {wait_ms}\nmax_concurrent_workers = {workers}\n"
    )
    for name, value in (("INFERENCE_URL", "http://127.0.0.1:8080"), ("PORT", "3000"), ("LOG_LEVEL", "info")):
        monkeypatch.setenv(name, value)

    batcher, proxy = read(BatcherSettings, []), read(ProxySettings, [])

    assert (batcher.max_batch_size, batcher.max_wait_time_ms, batcher.max_concurrent_batches) == (
        size,
        wait_ms,
        workers,
    )
    assert (batcher.inference_urls, batcher.log_level) == (("http://127.0.0.1:8080",), "info")
    assert (proxy.port, proxy.max_batch_size) == (3000, size)
    assert read(UpSettings, []).max_concurrent_batches == workers


@pytest.mark.parametrize("line", ["max_batch_size = 0", "max_batch_size = 1001", "max_wait_time_ms = 10001"])
def test_the_ranges_of_its_file_end_where_they_ended(tmp_path: Path, line: str) -> None:
    (tmp_path / "config.toml").write_text(line)
    with pytest.raises(SettingsError):
        read(BatcherSettings, [])


@pytest.mark.parametrize("source", ["environment", ".env"])
def test_the_variables_of_the_proxy_with_an_env_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    values = {
        "MAX_BATCH_SIZE": "16",
        "MAX_WAIT_TIME": "200",
        "INFERENCE_URL": "http://tei:80",
        "INFERENCE_API_KEY": "upstreams-key",
    }
    if source == "environment":
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    else:
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    batcher = read(BatcherSettings, [])

    assert (batcher.max_batch_size, batcher.max_wait_time_ms, batcher.inference_urls) == (16, 200, ("http://tei:80",))
    assert batcher.inference_api_key is not None
    assert batcher.inference_api_key.get_secret_value() == "upstreams-key"
    assert read(ProxySettings, []).max_batch_size == 16


@pytest.mark.parametrize("name", ["API_KEYS", "API_KEY"])
def test_keys_as_tei_has_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, " first, second ")

    assert read(ProxySettings, []).keys == ("first", "second")
    assert "second" not in repr(read(ProxySettings, []))


@pytest.mark.parametrize("value", [",", " ", " , "])
def test_a_list_of_no_keys_does_not_open_the_doors(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("API_KEYS", value)
    with pytest.raises(SettingsError, match=r"^API_KEYS: must hold a key"):
        read(ProxySettings, [])


def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(ProxySettings, []).cors_origins == ("*",)
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", "https://a, https://b")
    assert read(ProxySettings, []).cors_origins == ("https://a", "https://b")
