"""`python -m batcher`: one batcher, until SIGTERM or SIGINT, after which it finishes what it has claimed."""

import asyncio
import signal

import uvloop

from autobatch import logs
from autobatch.settings import BatcherSettings
from autobatch.settings_load import load
from batcher.app import serve


async def serve_until_signalled(settings: BatcherSettings) -> None:
    """Work until a signal says otherwise."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await serve(settings, stopped)


def main() -> None:
    """Read the settings and serve."""
    settings = load(BatcherSettings)
    logs.configure(settings, "batcher")
    uvloop.run(serve_until_signalled(settings))


if __name__ == "__main__":
    main()
