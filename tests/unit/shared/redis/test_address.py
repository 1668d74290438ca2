"""A URL without parameters is read as redis-py reads it, without importing redis-py."""

import subprocess
import sys

import pytest

from autobatch_shared.redis import address
from autobatch_shared.redis.address import Address


@pytest.mark.parametrize(
    "url",
    [
        "redis://queue",
        "redis://queue:7000",
        "redis://queue/3",
        "redis://queue/",
        "redis://queue:7000/nonsense",
        "redis://user:s%40cret@queue/1",
        "redis://:secret@[::1]:7000/%32",
        "redis://user@10.0.0.1",
        "redis://",
        "redis://QUEUE",
        "unix:///run/redis.sock",
        "unix://user:s%3Acret@/run/a%20folder/redis.sock",
    ],
)
def test_a_url_without_parameters_is_read_as_redis_py_does(url: str) -> None:
    assert Address.from_url(url) == address._with_parameters(url)


def test_a_batcher_and_a_worker_start_without_redis_py_and_rich() -> None:
    """Each is a tenth of what a process imports before it serves."""
    modules = "autobatch_batcher.__main__, autobatch_proxy.__main__, autobatch_proxy.app"
    code = f"import sys, {modules}\nprint({{'redis', 'rich', 'opentelemetry', 'structlog'}} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "set()\n"
