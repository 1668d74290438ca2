"""`python -m embedder`: settings, logs, model, server."""

import logging
import os
import sys
from time import perf_counter

import uvloop

from autobatch import embedder_needs, logs
from autobatch.settings import EmbedderSettings
from autobatch.settings_load import load
from autobatch.settings_remarks import log_remarks
from embedder.errors import ModelFolderError

log = logging.getLogger("embedder")


def main() -> None:
    """Serve until SIGTERM. Exit 2 when the settings name a model that cannot be served, 1 when the port is taken."""
    settings = load(EmbedderSettings)
    logs.configure(settings, "embedder")
    log_remarks(settings)
    if sentence := embedder_needs.missing(settings.embedder_model_dir):
        sys.stderr.write(f"autobatch: {sentence}\n")
        sys.exit(2)
    from embedder import app, model  # noqa: PLC0415 - they import what may be missing

    started_s = perf_counter()
    try:
        loaded = model.load(settings, os.environ.get("XDG_CACHE_HOME"))
    except ModelFolderError as error:
        sys.stderr.write(f"autobatch: {error}\n")
        sys.exit(2)
    log.info("model_loaded", extra={"model": loaded.folder.model_id, "load_s": round(perf_counter() - started_s, 2)})
    try:
        uvloop.run(app.serve(settings, loaded))
    except OSError as error:
        sys.stderr.write(f"autobatch: cannot listen on {settings.embedder_host}:{settings.embedder_port}: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
