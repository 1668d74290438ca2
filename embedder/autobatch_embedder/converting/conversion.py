"""`autobatch embedder convert MODEL_DIR OUT`: what the words mean, and what is written."""

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from autobatch_embedder.converting import triton_repository, whole_graph
from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model_files import folder_reading
from autobatch_embedder.model_files.modules import POOLINGS


def convert(words: Sequence[str]) -> int:
    """Write `OUT/model.onnx`, or Triton's repository; return the exit status, 2 for a model or OUT that cannot be used."""
    parser = argparse.ArgumentParser(prog="autobatch embedder convert", description="A model as an ONNX graph.")
    parser.add_argument("model_dir", type=Path, metavar="MODEL_DIR", help="the folder of the model")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write to")
    parser.add_argument("--pooling", choices=POOLINGS, help="instead of what the model's files say")
    parser.add_argument(
        "--output",
        choices=get_args(whole_graph.Output),
        help="embedding: pooled, of length 1; pooled: not normalised; last_hidden_state: not pooled. "
        "Default: what the model is for",
    )
    parser.add_argument(
        "--triton", type=_name, metavar="NAME", help="write OUT/NAME, a model of Triton's repository OUT"
    )
    parser.add_argument("--max-batch-size", type=int, default=64, help="Triton's max_batch_size (%(default)s)")
    options = parser.parse_args(words)
    folder = options.out / (options.triton or "")
    try:
        model = folder_reading.read(options.model_dir, str(options.model_dir), options.pooling)
        graph = whole_graph.build(model, options.output or whole_graph.default_output(model))
        _refuse_own(folder, options.model_dir, model.path)
        folder.mkdir(parents=True, exist_ok=True)
        if options.triton:
            triton_repository.write(options.out, options.triton, graph, options.max_batch_size)
        else:
            (folder / "model.onnx").write_bytes(graph.SerializeToString())
        shutil.copyfile(model.path / "tokenizer.json", folder / "tokenizer.json")
    except ModelFolderError as error:
        sys.stderr.write(f"autobatch: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"autobatch: cannot write to {folder}: {error}\n")
        return 2
    sys.stdout.write(f"{folder}\n")
    return 0


def _refuse_own(folder: Path, *own: Path) -> None:
    if folder.resolve() in {each.resolve() for each in own}:
        raise ModelFolderError(f"{folder}: this is the model's own folder; OUT is to be another")


def _name(text: str) -> str:
    """A folder's name; it stands between quotes in config.pbtxt, and is part of the URLs of Triton."""
    if not re.fullmatch(r"\w[\w.-]*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name of letters, digits, `_`, `.` and `-`")
    return text
