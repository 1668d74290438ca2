"""No secret is in anything that a settings object, or what is made of it, can be printed as; nor in what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from autobatch_console.up.settings import UpSettings
from autobatch_shared.redis.address import Address
from autobatch_shared.settings.definitions import (
    PROCESSES,
    BatcherSettings,
    CommonSettings,
    ProxySettings,
    without_credentials,
)
from autobatch_shared.settings.loading import SettingsError, read

SECRET = "hunter2"
CLASSES: list[type[CommonSettings]] = [*PROCESSES.values(), UpSettings]
SECRETS = {
    "redis_url": f"rediss://user:{SECRET}@h:1/0?ssl_password={SECRET}",
    "inference_url": f"http://user:{SECRET}@a:1/base,https://:{SECRET}@b",
    "inference_api_key": SECRET,
    "inference_headers": f"api-key={SECRET}",
    "api_keys": f"{SECRET}-1,{SECRET}-2",
    "embedder_api_key": SECRET,
}

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def set_all(monkeypatch: pytest.MonkeyPatch, *, but: str) -> None:
    """Set every secret but one: an upstream's key and its password exclude each other."""
    for name, value in SECRETS.items():
        if name != but:
            monkeypatch.setenv(name.upper(), value)


def printed(thing: Any) -> str:
    """Return everything that a line of a log could make of it."""
    shown = [
        repr(thing),
        str(thing),
        f"{thing}",
        f"{thing!r:>9}",
        json.dumps(thing, default=repr),
    ]
    if isinstance(thing, CommonSettings):
        shown += [str(thing.model_dump()), thing.model_dump_json(), str(thing.model_dump(mode="json"))]
    return "\n".join(shown)


@pytest.mark.parametrize("but", ["inference_url", "inference_api_key"])
@pytest.mark.parametrize("process", CLASSES, ids=lambda each: each.__name__)
def test_settings_are_printed_without_secrets(
    process: type[CommonSettings], but: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, but=but)
    settings = read(process, [])
    assert SECRET not in printed(settings)


def test_every_setting_that_sounds_like_a_secret_is_tried() -> None:
    """A new one has to be added above."""
    names = {name for process in CLASSES for name in process.model_fields}
    assert {
        name for name in names if any(part in name for part in ("key", "url", "password", "token", "secret", "headers"))
    } - {
        "openai_token_ids",
        "tokenizer_file",
        "upstream_tokens_max",
        "max_batch_tokens",
        "api_keys_file",
    } == set(SECRETS)


def test_the_secrets_are_there_for_those_who_need_them(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, but="inference_api_key")
    proxy = read(ProxySettings, [])
    assert f"http://user:{SECRET}@a:1/base" in read(BatcherSettings, []).inference_urls
    set_all(monkeypatch, but="inference_url")
    monkeypatch.delenv("INFERENCE_URL")
    assert read(BatcherSettings, []).inference_api_key == SecretStr(SECRET)
    assert proxy.redis_url.get_secret_value() == SECRETS["redis_url"]


def test_what_is_made_of_an_address_is_printed_without_secrets() -> None:
    url = f"redis://user:{SECRET}@h:1/0"
    address = Address.from_url(url)
    assert SECRET not in printed(address)
    assert address.password == SECRET


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"http://user:{SECRET}@h:1/base/", "http://h:1/base/"),
        (f"https://h?code={SECRET}#{SECRET}", "https://h"),
        (f"rediss://:{SECRET}@[::1]:6379/2?ssl_password={SECRET}", "rediss://[::1]:6379/2"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


@pytest.mark.parametrize(
    "rest",
    [
        f"user:{SECRET}/more@h",  # urllib takes it for a port, and says so
        f"user:12/{SECRET}@h",  # a port indeed, and the half of a password
        f"user:12#{SECRET}@h",
        f"user:12?{SECRET}=1@h",
        f"user:{SECRET}]@h",
        f"user:[{SECRET}@h",
        f"user:{SECRET}\u2100@h",  # a letter that is normalised to a slash
        f"user:{SECRET}@h:port",
        f"user:{SECRET}@h:70000",
        f"user:{SECRET}@h:-1",
    ],
)
@pytest.mark.parametrize(
    ("name", "scheme"), [("redis_url", "redis"), ("redis_url", "rediss"), ("inference_url", "http")]
)
def test_a_password_that_breaks_its_address_is_not_told(
    name: str, scheme: str, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), f"{scheme}://{rest}")
    with pytest.raises(SettingsError) as caught:
        read(BatcherSettings, [])
    assert SECRET not in printed(caught.value)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [name.upper()]


@pytest.mark.parametrize(
    "parameter",
    [
        "ssl_cafile=/x",  # no such parameter
        "ssl_ca_certs=/no/such/file",
        "ssl_certfile=/no/such/file",
        "ssl_cert_reqs=maybe",
        "ssl_min_version=new",
        f"ssl_ca_data={SECRET}",
        f"ssl_cert_reqs={SECRET}",
        "db=first",
    ],
)
def test_an_address_that_no_connection_can_be_made_from_is_refused_at_once(parameter: str) -> None:
    """And not by a traceback of whichever worker is the first to connect."""
    with pytest.raises(SettingsError) as caught:
        Address.from_url(f"rediss://user:{SECRET}@h/0?{parameter}&ssl_password={SECRET}")
    assert SECRET not in printed(caught.value)
    assert str(caught.value).startswith("REDIS_URL: ")


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["--api-keys", "one,", SECRET], "--api-keys"),
        (["--api-keys", "one", SECRET, SECRET], "--api-keys"),
        (["--api-keys", f"--{SECRET}"], "--api-keys"),
        (["--redis-url", "redis://user", f"{SECRET}@h"], "--redis-url"),
        (["--inference-api-key=one", SECRET], "--inference-api-key"),
    ],
)
def test_a_word_behind_a_secret_is_not_told(argv: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A blank in a list of keys, or in a password, that was not quoted."""
    with pytest.raises((SettingsError, SystemExit)) as caught:
        read(UpSettings, argv)
    said = str(caught.value) + capsys.readouterr().err
    assert SECRET not in said
    assert name in said


def test_a_key_and_a_password_for_one_upstream_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aiohttp would refuse each call."""
    set_all(monkeypatch, but="")
    with pytest.raises(SettingsError) as caught:
        read(BatcherSettings, [])
    assert SECRET not in printed(caught.value)
    assert str(caught.value).startswith("INFERENCE_API_KEY: ")


@pytest.mark.parametrize("name", [*SECRETS])
@pytest.mark.parametrize("value", [f'["{SECRET}"]', f'{{ a = "{SECRET}" }}', f'"gopher://u:{SECRET}@h"', f'"{SECRET}'])
def test_a_wrong_value_of_a_config_file_is_not_told(name: str, value: str) -> None:
    Path("config.toml").write_text(f"{name} = {value}\nmax_batch_size = 0\n")
    with pytest.raises(SettingsError) as caught:
        read(UpSettings, [])
    assert SECRET not in printed(caught.value)
