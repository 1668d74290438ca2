"""`autobatch embedder`, which is `python -m autobatch_embedder`: settings, logs, model, server; or `convert`."""

import logging
import os
import sys
from time import perf_counter

import uvloop

from autobatch_embedder.errors import ModelFolderError
from autobatch_shared import logs
from autobatch_shared.install_hints import missing_for_embedder
from autobatch_shared.settings.definitions import EmbedderSettings
from autobatch_shared.settings.loading import load
from autobatch_shared.settings.remarks import log_remarks

log = logging.getLogger("embedder")


def main() -> None:
    """Serve until SIGTERM. Exit 2 when the settings name a model that cannot be served, or a port that is taken."""
    if sys.argv[1:2] == ["convert"]:
        from autobatch_embedder.converting.conversion import convert  # noqa: PLC0415 - it imports what may be missing

        sys.exit(convert(sys.argv[2:]))
    settings = load(EmbedderSettings)
    logs.configure(settings, "embedder")
    log_remarks(settings)
    if sentence := missing_for_embedder(settings.embedder_model_dir, model_id=settings.embedder_model_id):
        sys.stderr.write(f"autobatch: {sentence}\n")
        sys.exit(2)
    from autobatch_embedder import app  # noqa: PLC0415 - they import what may be missing
    from autobatch_embedder.model import loaded_model as model  # noqa: PLC0415 - they import what may be missing

    started_s = perf_counter()
    try:
        loaded = model.load(settings, os.environ.get("XDG_CACHE_HOME"))
    except ModelFolderError as error:
        sys.stderr.write(f"autobatch: {error}\n")
        sys.exit(2)
    load_s = round(perf_counter() - started_s, 2)
    log.info("model_loaded", extra={"model": loaded.folder.model_id, "load_s": load_s, **loaded.quantized})
    try:
        uvloop.run(app.serve(settings, loaded))
    except OSError as error:
        sys.stderr.write(f"autobatch: cannot listen on {settings.embedder_host}:{settings.embedder_port}: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
