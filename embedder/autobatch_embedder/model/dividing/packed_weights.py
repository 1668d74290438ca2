"""A built graph with the weights of its products as this CPU reads them, in a file that sessions and processes map.

onnxruntime packs these weights anew in each session, unless a file has them: MiniLM's are 42 MB.

The file lies beside the graph, and its name identifies the CPU and the version of onnxruntime: packed weights that
were read by another CPU would give wrong vectors, without an error.
"""

import hashlib
import logging
import re
from pathlib import Path

import onnxruntime

from autobatch_embedder.model.kept_graph import is_kept, keep
from autobatch_embedder.model.loaded_graph import save_packed
from autobatch_shared.cores import cpu_features, cpu_name

log = logging.getLogger(__name__)

ALIGNED_BYTES = 64
"""Where in the file packed weights may begin. onnxruntime packs them one after the other and maps them as they lie; its
kernels read whole vectors of the CPU from there, and from another place the process ends with a segmentation fault."""
_PACKED = re.compile(rb"\|(\d+);\d+;\d+")  # as onnxruntime notes them in the graph: |offset;length;checksum


def packed(graph: Path) -> Path | None:
    """Return the file for a graph, writing it if there is no whole one; None if it cannot be written, or the CPU is not known.

    Args:
        graph: Of the cache.
    """
    features = cpu_features()
    if not features:
        return None
    machine = f"{cpu_name()} {features} {onnxruntime.__version__}"
    path = graph.with_name(f"{graph.stem}-{hashlib.sha256(machine.encode()).hexdigest()[:16]}.onnx")
    if is_kept(path):
        return path
    try:
        keep(path, lambda place: _write(graph, place))
    except OSError as error:
        log.warning("packed_weights_not_kept", extra={"folder": str(path.parent), "reason": str(error)})
        return None
    return path


def _write(graph: Path, path: Path) -> None:
    save_packed(graph, path)
    if not is_aligned(path.read_bytes()):
        raise OSError("onnxruntime would read some of them from where they may not begin")


def is_aligned(packed_graph: bytes) -> bool:
    """Whether all packed weights begin where they may."""
    return all(int(offset) % ALIGNED_BYTES == 0 for offset in _PACKED.findall(packed_graph))
