"""`autobatch batcher`, which is `python -m autobatch_batcher`: one batcher, until SIGTERM or SIGINT, after which it finishes what it has claimed."""

import asyncio
import signal
import sys

import uvloop

from autobatch_batcher.app import serve
from autobatch_shared import logs
from autobatch_shared.install_hints import missing_for_grpc
from autobatch_shared.listening import refuse_taken
from autobatch_shared.redis.masters.master import finder_of
from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.loading import SettingsError, load
from autobatch_shared.settings.remarks import log_remarks
from autobatch_shared.settings.upstream_urls import is_grpc


async def serve_until_signalled(settings: BatcherSettings) -> None:
    """Work until a signal says otherwise."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await serve(settings, stopped)


def check(settings: BatcherSettings) -> None:
    """Refuse to start with an address that cannot be connected to, or cannot be listened on, or lacks packages."""
    try:
        finder_of(settings.redis_url.get_secret_value())
        refuse_taken(settings.batcher_host, settings.batcher_port, "BATCHER_PORT")
        check_packages(settings)
    except SettingsError as error:
        sys.stderr.write(f"autobatch: {error}\n")
        sys.exit(2)


def check_packages(settings: BatcherSettings) -> None:
    """Raise SettingsError if what the upstreams' URLs need is not installed."""
    if any(map(is_grpc, settings.inference_urls)) and (missing := missing_for_grpc()):
        raise SettingsError((f"INFERENCE_URL: {missing}",))


def main() -> None:
    """Read the settings and serve."""
    settings = load(BatcherSettings)
    check(settings)
    logs.configure(settings, "batcher")
    log_remarks(settings)
    uvloop.run(serve_until_signalled(settings))


if __name__ == "__main__":
    main()
