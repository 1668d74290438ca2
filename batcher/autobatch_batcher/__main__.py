"""`autobatch batcher`, which is `python -m autobatch_batcher`: one batcher of one model or several, until SIGTERM or SIGINT, after which it finishes what it has claimed; at SIGHUP it reads its files again."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import uvloop

from autobatch_batcher.app import serve
from autobatch_batcher.reloading import Reloading
from autobatch_shared import logs
from autobatch_shared.install_hints import missing_for_grpc
from autobatch_shared.listening import refuse_taken
from autobatch_shared.redis.masters.master import finder_of
from autobatch_shared.settings.choices import is_grpc
from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.files.model_tables import load_models, read_models
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import trusting
from autobatch_shared.settings.remarks import log_remarks
from autobatch_shared.tracing.switch import refuse_unusable, take_env_file


async def serve_until_signalled(models: Sequence[BatcherSettings]) -> None:
    """Work until a signal says otherwise; at SIGHUP, by what the files say then."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    reloading = Reloading(lambda: read_models(BatcherSettings, sys.argv[1:]))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, reloading.reload)
    await serve(models, stopped, reloading.take)


def check(models: Sequence[BatcherSettings]) -> None:
    """Refuse to start with an address that cannot be connected to, cannot be listened on, or is of gRPC and lacks what that needs."""
    settings = models[0]  # what they share is the same in all
    try:
        refuse_unusable(os.environ)
        finder_of(settings.redis_url.get_secret_value())
        refuse_taken(settings.batcher_host, settings.batcher_port, "BATCHER_PORT")
        for each in models:
            trusting(each.inference_ca_file)
            check_grpc(each)
    except SettingsError as error:
        sys.stderr.write(f"autobatch: {error}\n")
        sys.exit(2)


def check_grpc(settings: BatcherSettings) -> None:
    """Raise SettingsError if an upstream over gRPC lacks its packages, or the name of its model."""
    if not any(map(is_grpc, settings.inference_urls)):
        return
    if missing := missing_for_grpc():
        raise SettingsError((f"INFERENCE_URL: {missing}",))
    if not settings.upstream_model:
        raise SettingsError(
            ("UPSTREAM_MODEL: must name the model: a server that is called over gRPC may have several",)
        )


def main() -> None:
    """Read the settings and serve."""
    models = load_models(BatcherSettings, sys.argv[1:])
    take_env_file()
    check(models)
    logs.configure(models[0], "batcher")
    for each in models:
        log_remarks(each)
    uvloop.run(serve_until_signalled(models))


if __name__ == "__main__":
    main()
