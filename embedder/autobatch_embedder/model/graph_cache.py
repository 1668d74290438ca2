"""Keep the built graph on disk, so that only the first start of a model builds it.

The name of the file identifies what it was made from: a hash of the weights, of config.json and of the pooling, and the
version of the builder. One that was damaged is built again (`kept_graph`).

The constants are in a file beside the graph. onnxruntime maps that file instead of copying it: processes share it, and
of MiniLM's word vectors, half of its weights, only those of the words that came are in memory.
"""

import hashlib
import logging
from pathlib import Path

from autobatch_embedder.model.kept_graph import is_kept, keep
from autobatch_embedder.model.tokens import TextTokenizer
from autobatch_embedder.model_files import weights
from autobatch_embedder.model_files.model_folder import ModelFolder
from autobatch_shared.settings.definitions import Quantization

log = logging.getLogger(__name__)

GRAPH_VERSION = 10
"""Raise it with every change of `graph`: files of other versions are not used."""


def folder(cache_dir: str | None, xdg_cache_home: str | None) -> Path:
    """Return the folder of graphs: `cache_dir`, or `autobatch` in the user's cache folder."""
    if cache_dir:
        return Path(cache_dir).expanduser()
    return Path(xdg_cache_home or "~/.cache").expanduser() / "autobatch"


def load(model: ModelFolder, cache: Path, quantize: Quantization | None = None) -> Path | bytes:
    """Return the file of the graph, building it if there is no whole one; its bytes if the cache cannot be written.

    Raises:
        ModelFolderError: The weights cannot be read or do not fit the config, or a published graph would be quantised.
    """
    if model.published_graph and not quantize:
        log.info("own_graph", extra={"file": str(model.published_graph)})
        return model.published_graph
    vocabulary = model.encoder.vocabulary
    path = cache / name_of(model, quantize)
    if is_kept(path):
        return path
    # Only building needs onnx: a start with a cached graph works without it.
    from autobatch_embedder.model.network import graph  # noqa: PLC0415

    built = graph.build_for(model)
    if quantize:
        from autobatch_embedder.model.network import quantizing  # noqa: PLC0415

        rows = TextTokenizer(model).encode(quantizing.SENTENCES, None, "right", truncate=True)
        built = quantizing.quantized(built, rows, vocabulary)
    try:
        _write(path, built)
    except OSError as error:
        log.warning("graph_cache_not_writable", extra={"folder": str(cache), "reason": str(error)})
        return built
    log.info("graph_built", extra={"file": str(path)})
    return path


def name_of(model: ModelFolder, quantize: Quantization | None = None) -> str:
    """The name of the model's graph: of its file in the cache, unless it is the repository's own."""
    digest = hashlib.sha256((model.path / "config.json").read_bytes())
    digest.update(f"{model.pooling} {model.has_segments}".encode())
    for part in [model.published_graph] if model.published_graph else weights.files(model.path):
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{digest.hexdigest()}-{GRAPH_VERSION}{f'-{quantize}' if quantize else ''}.onnx"


def _write(path: Path, content: bytes) -> None:
    # As the graph: only building needs onnx.
    import onnx  # noqa: PLC0415
    from onnx.external_data_helper import convert_model_to_external_data  # noqa: PLC0415

    model = onnx.load_from_string(content)
    convert_model_to_external_data(model, location=path.with_suffix(".data").name)
    keep(path, lambda place: onnx.save_model(model, place))
