"""`autobatch proxy`, which is `python -m autobatch_proxy`: a gunicorn master and its aiohttp workers."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiohttp import web
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from autobatch_proxy.requests.lengths import make_ruler
from autobatch_proxy.requests.token_ids import make_text_of_ids
from autobatch_proxy.server.gunicorn_master import GunicornMaster
from autobatch_shared import logs
from autobatch_shared.cores import cores
from autobatch_shared.listening import refuse_taken
from autobatch_shared.redis.masters.master import finder_of
from autobatch_shared.settings.definitions import ProxySettings
from autobatch_shared.settings.files.model_tables import read_workers_models
from autobatch_shared.settings.loading import SettingsError, end_with, read
from autobatch_shared.settings.named_files import read_keys
from autobatch_shared.settings.read_again import log_reload, read_again, taken_over
from autobatch_shared.settings.remarks import log_remarks
from autobatch_shared.tracing.switch import refuse_unusable, take_env_file

NONE: Mapping[str, ProxySettings] = MappingProxyType({})
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported
STOP_MARGIN_S = 5  # beyond the longest request, for closing connections


class PlainLogger(Logger):  # type: ignore[misc]
    """Gunicorn's events through our logging, in our format."""

    def setup(self, _cfg: object) -> None:
        """Leave handlers and levels to the root logger."""
        self.error_log = logging.getLogger("gunicorn")


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn, configured from our settings and from nowhere else."""

    def __init__(self, settings: ProxySettings, named: Mapping[str, ProxySettings] = NONE) -> None:
        self._settings = settings
        self._named = named
        super().__init__()

    @property
    def stop_delay_s(self) -> float:
        """How long a worker that was told to stop still accepts requests, in seconds."""
        return self._settings.stop_delay_ms / 1000

    def run(self) -> None:
        """Serve until stopped."""
        GunicornMaster(self).run()

    def read_settings_again(self) -> bool:
        """Take over what the files say now, for workers that start from now on; False: they have faults, and nothing changes."""
        found = read_again(read_settings)
        if found is None:
            return False
        settings, named = found
        log_reload(self._settings, settings)
        self._settings = taken_over(self._settings, settings)
        self._named = {name: taken_over(self._settings, each) for name, each in named.items()}
        logs.configure(self._settings, "proxy")
        return True

    def load_config(self) -> None:
        """Set what gunicorn needs to know."""
        settings = self._settings
        options: dict[str, Any] = {
            "bind": f"unix:{settings.uds_path}" if settings.uds_path else f"{settings.host}:{settings.port}",
            "workers": settings.web_concurrency or cores(),
            "worker_class": "autobatch_proxy.server.gunicorn_worker.Worker",
            "graceful_timeout": (settings.request_timeout_ms + settings.stop_delay_ms) // 1000 + STOP_MARGIN_S,
            "backlog": 4096,
            "control_socket_disable": True,  # its default path collides between instances
            "logger_class": PlainLogger,
            "proc_name": "autobatch-proxy",
            "child_exit": forget_worker,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[[], Awaitable[web.AppRunner]]:
        """Return the factory that each worker calls after the fork."""
        settings, named = self._settings, self._named

        async def factory() -> web.AppRunner:
            # Imported here, so that the master stays small and no metric exists before the fork.
            from autobatch_proxy.app import make_runner  # noqa: PLC0415

            return await make_runner(settings, named)

        return factory


def forget_worker(_server: object, worker: Any) -> None:
    """Take a dead worker's gauges out of the sums."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - not before the folder is set

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def main() -> None:
    """Read the settings and serve until stopped."""
    try:
        settings, named = read_settings()
        take_env_file()
        refuse_unusable(os.environ)
        finder_of(settings.redis_url.get_secret_value())
        if not settings.uds_path:
            refuse_taken(settings.host, settings.port, "PORT")
    except SettingsError as error:
        end_with(error)
    logs.configure(settings, "proxy")
    log_remarks(settings)
    if settings.uds_path:
        Path(settings.uds_path).parent.mkdir(parents=True, exist_ok=True)
    if METRICS_FOLDER in os.environ:  # several gunicorns share one, so that any worker speaks for all
        Server(settings, named).run()
    else:
        serve_with_own_metrics(settings, named)


def read_settings() -> tuple[ProxySettings, dict[str, ProxySettings]]:
    """Return the settings of the workers, and those of each model that has a table.

    Raises:
        SettingsError: With every fault of every source; or a worker could not start, as a file that is named is not there.
    """
    settings, named = read(ProxySettings, sys.argv[1:]), read_workers_models(sys.argv[1:])
    for each in (settings, *named.values()):
        make_ruler(each.tokenizer_file or None)
    make_text_of_ids(settings.openai_token_ids, settings.cl100k_file)
    if settings.api_keys_file is not None:
        read_keys(settings.api_keys_file)
    return settings, named


def serve_with_own_metrics(settings: ProxySettings, named: Mapping[str, ProxySettings]) -> None:
    """Serve, with a folder for the numbers of this gunicorn's workers that is deleted when it ends."""
    folder = tempfile.mkdtemp(prefix="autobatch-metrics-")
    os.environ[METRICS_FOLDER] = folder
    master = os.getpid()
    try:
        Server(settings, named).run()
    finally:
        if os.getpid() == master:  # not in a worker that ends
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
