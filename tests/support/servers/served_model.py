"""The whole path as processes, with the real model: Redis, embedder, batcher and one worker.

For tests that only read answers.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

START_S = 60.0  # the embedder builds its graph: one cached by older code must not be used


@contextmanager
def served_model(**proxy: object) -> Iterator[str]:
    """Yield the worker's URL once requests are answered; `proxy` are settings of the worker."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ab-")))
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        redis.start()
        model, port = free_port(), free_port()
        upstream = f"http://127.0.0.1:{model}"
        for module, settings in (
            ("embedder", {"embedder_port": model, "embedder_threads": 1, "embedder_cache_dir": folder}),
            # A route that the model does not serve is a 424, which would be retried: one attempt is enough here.
            ("batcher", {"inference_url": upstream, "batcher_port": 0, "upstream_attempts": 1}),
            ("proxy", {"host": "127.0.0.1", "port": port, "web_concurrency": 1, **proxy}),
        ):
            stack.callback(Process(folder, module, redis_url=redis.url, **settings).close)
        url = f"http://127.0.0.1:{port}"
        asyncio.run(wait_until(lambda: _is_healthy(url), START_S))
        yield url


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False
