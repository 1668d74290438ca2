"""REDIS_URL's kinds, and what is wrong with one; no message has a piece of it."""

from urllib.parse import urlsplit

import pytest

from autobatch_shared.settings.definitions import BatcherSettings, without_credentials
from autobatch_shared.settings.loading import SettingsError, read
from autobatch_shared.settings.redis_urls import check_redis_url

SECRET = "s3cret"

pytestmark = pytest.mark.usefixtures("nothing_is_set")


@pytest.mark.parametrize(
    "url",
    [
        "redis://queue:6379/0",
        "rediss://user:p,w@queue",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://a,b:26380,[::1]:26381/queue",
        "rediss+sentinel://user:p,w@a/queue/3?sentinel_password=x",
        "redis+cluster://a:7001,b",
        "rediss+cluster://user:pw@a/0?ssl_ca_certs=ca.crt",
    ],
)
def test_every_kind_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_redis_url(urlsplit(url))
    monkeypatch.setenv("REDIS_URL", url)
    assert read(BatcherSettings, []).redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"http://:{SECRET}@a", "must start with redis://"),
        (f"redis+other://:{SECRET}@a", "must start with redis://"),
        (f"redis://:{SECRET}@a,b", "must name one server"),
        (f"redis+sentinel://:{SECRET}@a,b", "must name the service"),
        (f"redis+sentinel://:{SECRET}@a,b/", "must name the service"),
        (f"redis+sentinel://:{SECRET}@a,b/queue/x", "must name the service"),
        (f"redis+sentinel://:{SECRET}@a,,b/queue", "before and after each comma"),
        (f"redis+sentinel://:{SECRET}@a:1,b:{SECRET}/queue", "must have a port"),
        (f"redis+cluster://:{SECRET}@", "before and after each comma"),
        (f"redis+cluster://:{SECRET}@a,b/3", "no database but 0"),
        (f"redis+cluster://:{SECRET}@a,b:70000", "must have a port"),
    ],
)
def test_what_is_wrong_is_said_without_a_secret(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SettingsError) as caught:
        read(BatcherSettings, [])
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_several_servers_are_shown_without_credentials() -> None:
    assert (
        without_credentials(f"redis+sentinel://user:{SECRET}@a:1,b/queue?sentinel_password={SECRET}")
        == "redis+sentinel://a:1,b/queue"
    )
