"""`autobatch batcher`, which is `python -m autobatch_batcher`: one batcher of one model or several, until SIGTERM or SIGINT, after which it finishes what it has claimed."""

import asyncio
import signal
import sys
from collections.abc import Sequence

import uvloop

from autobatch_batcher.app import serve
from autobatch_shared import logs
from autobatch_shared.listening import refuse_taken
from autobatch_shared.redis.masters.master import finder_of
from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.model_tables import load_models
from autobatch_shared.settings.remarks import log_remarks


async def serve_until_signalled(models: Sequence[BatcherSettings]) -> None:
    """Work until a signal says otherwise."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await serve(models, stopped)


def check(settings: BatcherSettings) -> None:
    """Refuse to start with an address that cannot be connected to, or cannot be listened on."""
    try:
        finder_of(settings.redis_url.get_secret_value())
        refuse_taken(settings.batcher_host, settings.batcher_port, "BATCHER_PORT")
    except SettingsError as error:
        sys.stderr.write(f"autobatch: {error}\n")
        sys.exit(2)


def main() -> None:
    """Read the settings and serve."""
    models = load_models(sys.argv[1:])
    settings = models[0]  # what they share is the same in all
    check(settings)
    logs.configure(settings, "batcher")
    for each in models:
        log_remarks(each)
    uvloop.run(serve_until_signalled(models))


if __name__ == "__main__":
    main()
