"""A model of the Hugging Face hub: its files, from the hub or from its cache on this machine.

`huggingface_hub` decides where the cache is and whether to ask the network: HF_HOME, HF_HUB_OFFLINE, HF_TOKEN.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from autobatch_embedder.errors import ModelFolderError

log = logging.getLogger(__name__)

_WEIGHTS = ("model.safetensors", "model-*.safetensors")
FILES = ("*.json", *_WEIGHTS, *(f"0_*/{each}" for each in _WEIGHTS), "*_Dense/*.safetensors")  # `*` is `/`, too
GRAPHS = ("onnx/model.onnx*", "model.onnx*")
"""The places of its graph, with the file of its weights; the first one counts. It is asked for only where none is built."""


def folder(model_id: str, revision: str | None, files: Sequence[str] = FILES) -> Path:
    """Return the folder of a model, with the files that are needed here.

    Args:
        model_id: Such as `BAAI/bge-small-en-v1.5`.
        revision: A branch, tag or commit; None: `main`.
        files: Patterns of the files that are needed.

    Raises:
        ModelFolderError: There is no such model, it is neither in the cache nor reachable, or a download ended early.
    """
    import httpx2  # noqa: PLC0415 - an extra
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

    if not sys.stderr.isatty():
        disable_progress_bars()  # they would be mixed with the lines of the log
    logging.getLogger("huggingface_hub").handlers.clear()  # they write its warnings beside the log, which has them, too
    if not log.isEnabledFor(logging.DEBUG):
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it has a line for each file
    log.info("hub_model", extra={"model": model_id, "revision": revision})  # it may take minutes
    try:
        return Path(snapshot_download(model_id, revision=revision, allow_patterns=list(files)))
    except (httpx2.HTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        said = " ".join(str(error).split())  # the first of its lines is only the status
        raise ModelFolderError(f"the hub's model {model_id}: {said}") from error
