"""Keep the built graph on disk, so that only the first start of a model builds it.

The name of the file identifies what it was made from: a hash of the weights and of config.json, and the version of the
builder. A file is written under another name and then renamed, so that two simultaneous starts cannot read half of one.
"""

import hashlib
import logging
import os
import tempfile
from pathlib import Path

from autobatch_embedder.model import weights
from autobatch_embedder.model.model_folder import ModelFolder

log = logging.getLogger(__name__)

GRAPH_VERSION = 3
"""Raise it with every change of `graph`: files of other versions are not used."""


def folder(cache_dir: str | None, xdg_cache_home: str | None) -> Path:
    """Return the folder of graphs: `cache_dir`, or `autobatch` in the user's cache folder."""
    if cache_dir:
        return Path(cache_dir).expanduser()
    return Path(xdg_cache_home or "~/.cache").expanduser() / "autobatch"


def load(model: ModelFolder, cache: Path) -> Path | bytes:
    """Return the file of the graph, building it if there is none; its bytes if the cache cannot be written.

    Raises:
        ModelFolderError: The weights cannot be read or do not fit the config.
    """
    path = cache / name_of(model)
    if path.is_file():
        return path
    # Only building needs onnx: a start with a cached graph works without it.
    from autobatch_embedder.model.network import graph  # noqa: PLC0415

    built = graph.build(model.sizes, weights.read(model.path / "model.safetensors"))
    try:
        _write(path, built)
    except OSError as error:
        log.warning("graph_cache_not_writable", extra={"folder": str(cache), "reason": str(error)})
        return built
    log.info("graph_built", extra={"file": str(path)})
    return path


def name_of(model: ModelFolder) -> str:
    """The file name of the model's graph."""
    digest = hashlib.sha256((model.path / "config.json").read_bytes())
    with (model.path / "model.safetensors").open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{digest.hexdigest()}-{GRAPH_VERSION}.onnx"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        # mkstemp makes files for their owner only, but an image may be built as root and run as another user.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
