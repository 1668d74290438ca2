"""A graph that ONNX Runtime has loaded: how its sessions are set, and its errors as ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime

from autobatch_embedder import errors
from autobatch_embedder.model.vectors import Vectors

_ONLY_ERRORS = 3  # of onnxruntime's log, which would be mixed with ours on stderr
_PROVIDERS = ("CPUExecutionProvider",)


class LoadedGraph:
    """One session. Several threads may run it at the same time.

    Attributes:
        metadata: What the file says about itself.
        inputs: Names and types, such as `tensor(int64)`.
        outputs: Names.
    """

    def __init__(self, graph: Path | bytes, threads: int) -> None:
        """Load a file, or the bytes of one.

        Args:
            graph: The file or its bytes.
            threads: For one pass.

        Raises:
            ModelFolderError: It cannot be loaded.
        """
        source = graph if isinstance(graph, bytes) else str(graph)
        try:
            self._session = onnxruntime.InferenceSession(source, _options(threads), providers=_PROVIDERS)
        except Exception as error:  # onnxruntime has a dozen unrelated exception types
            where = "the built graph" if isinstance(graph, bytes) else str(graph)
            raise errors.ModelFolderError(f"onnxruntime cannot load {where}: {error}") from error
        self._shrinking = onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self.inputs = {each.name: each.type for each in self._session.get_inputs()}
        self.outputs = [each.name for each in self._session.get_outputs()]
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, output: str, inputs: Mapping[str, npt.NDArray[Any]], *, shrinks: bool = False) -> Vectors:
        """Compute one output.

        Args:
            output: Its name.
            inputs: By their names.
            shrinks: Whether memory that was kept for larger passes is given back to the system afterwards.

        Raises:
            TeiError: The pass failed.
        """
        try:
            (result,) = self._session.run([output], inputs, self._shrinking if shrinks else None)
        except Exception as error:  # onnxruntime has a dozen unrelated exception types
            raise errors.backend_failed(error) from error
        found: Vectors = result
        return found


def save_packed(graph: Path, path: Path) -> None:
    """Save a graph as onnxruntime loads it on this CPU: fused, with the weights of its products as the CPU reads them.

    Args:
        graph: Its file.
        path: The file to write; constants of a kilobyte or more go into a file beside it, with the suffix `.data`.

    Raises:
        OSError: It cannot be written.
    """
    options = _options(threads=1)
    options.optimized_model_filepath = str(path)
    for key, value in (
        ("optimized_model_external_initializers_file_name", path.with_suffix(".data").name),
        ("optimized_model_external_initializers_min_size_in_bytes", "1024"),
        ("save_external_prepacked_constant_initializers", "1"),
    ):
        options.add_session_config_entry(f"session.{key}", value)
    try:
        onnxruntime.InferenceSession(str(graph), options, providers=_PROVIDERS)
    except Exception as error:  # onnxruntime has a dozen unrelated exception types
        raise OSError(f"onnxruntime cannot save {path}: {error}") from error


def _options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONLY_ERRORS
    # Threads that spin between passes save 0.3 ms of 1.5 ms on a short text, but use the cores that the proxy and
    # Redis run on; for full batches there was no difference (32 x 16 tokens, two cores).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A plan of the memory is kept for each shape of the inputs, and ours differ from pass to pass: after calls of
    # mixed lengths that was 38 MB of 253 MB, and passes take the same time without.
    options.enable_mem_pattern = False
    return options
