"""Find the folder of a model, and read what its small JSON files say about the network and its inputs.

The layout is that of a Sentence Transformers model, or of a Transformers model with a head. A folder that needs
something that is not computed here is refused, with the file and the field; serving it would give wrong vectors.
"""

import importlib.util
from pathlib import Path

from autobatch_embedder.errors import ModelFolderError, NotUnderstoodError
from autobatch_embedder.model_files import config as configs
from autobatch_embedder.model_files import hub, weights
from autobatch_embedder.model_files import modules as module_files
from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.encoder import Encoder
from autobatch_embedder.model_files.families.table import FAMILIES
from autobatch_embedder.model_files.model_folder import SCORING, ModelFolder, Task
from autobatch_embedder.model_files.modules import Modules, Pooling
from autobatch_shared.install_hints import MODEL_INSTALL, MODEL_PACKAGE

PACKAGED_MODEL_ID = "sentence-transformers/all-MiniLM-L6-v2"

GRAPH = "model.onnx"
"""The file of a repository's graph, in its folder `onnx` or in its root."""

_LFS_POINTER = b"version https://git-lfs"
_POSITIONS = 512  # of a network whose config does not say

_TEXT_FILES = tuple(f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "camembert"))


def find(
    model_dir: str | None,
    pooling: Pooling | None = None,
    *,
    model_id: str | None = None,
    revision: str | None = None,
) -> ModelFolder:
    """Read the folder `model_dir`, the one of a model of the hub, or the one of the weights package.

    Args:
        model_dir: A path; None: the hub's, or the package.
        pooling: Instead of what the folder says; a head for classes does not pool by it.
        model_id: Of the hub.
        revision: Of the hub's.

    Raises:
        ModelFolderError: Something is missing or not supported.
    """
    if model_dir is not None and model_id is not None:
        raise ModelFolderError("EMBEDDER_MODEL_DIR and EMBEDDER_MODEL_ID are both set; one of them names the model")
    if model_id is not None:
        folder = hub.folder(model_id, revision)
        network = module_files.read(folder).transformer
        config = configs.read_if_there(network / "config.json")
        if not _is_built(network, config):
            _fetch_graph(model_id, folder, config)
        return read(folder, model_id, pooling, revision)
    if model_dir is not None:
        return read(Path(model_dir), model_id=model_dir, pooling=pooling)
    # find_spec, not import: importing the package imports sentence-transformers, which is not installed.
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelFolderError(f"the package {MODEL_PACKAGE} is not installed: type `{MODEL_INSTALL}`")
    return read(Path(spec.submodule_search_locations[0]) / "model", model_id=PACKAGED_MODEL_ID, pooling=pooling)


def read(path: Path, model_id: str, pooling: Pooling | None = None, revision: str | None = None) -> ModelFolder:
    """Read one folder.

    Raises:
        ModelFolderError: Something is missing or not supported.
    """
    modules = module_files.read(path)
    folder = modules.transformer
    config = configs.read(folder / "config.json")
    if not (folder / "tokenizer.json").is_file():
        raise ModelFolderError(f"{folder / 'tokenizer.json'}: no such file")
    network = _graph_of(path, config) or _encoder_alone(config)
    large = [network] if isinstance(network, Path) else weights.files(folder)
    _refuse_pointers(folder / "tokenizer.json", *large, *(layer.path for layer in modules.dense))
    texts = _of_texts(folder)
    library = configs.read_if_there(path / "config_sentence_transformers.json")
    library.only("max_active_dims", None)
    task = _task(config, modules, pooling)
    return ModelFolder(
        path=folder,
        model_id=model_id,
        network=network,
        tokens_max=_tokens_max(folder, texts, config, network),
        prompts=library.value("prompts", None),
        config=config,
        task=task,
        lowercases=texts.flag("do_lower_case", default=False),
        pooling=_pooling(path, config, modules, pooling, task),
        dense=modules.dense,
        normalize=modules.normalize,
        logarithms=modules.logarithms,
        dimensions=library.size("truncate_dim") if "truncate_dim" in library else None,
        labels=_labels(config) if task in SCORING else (),
        revision=revision,
    )


def _fetch_graph(model_id: str, folder: Path, config: Config) -> None:
    """Fetch one of the repository's graphs into its folder, whose name is the commit: each has all weights once more."""
    for graph in hub.GRAPHS:
        if _graph_of(folder, config) is None:
            hub.folder(model_id, folder.name, [graph])


def _refuse_pointers(*files: Path) -> None:
    """Refuse what a clone without Git LFS has in place of a large file."""
    for path in files:
        with path.open("rb") as file:
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise ModelFolderError(f"{path}: a pointer of Git LFS in place of the file; type `git lfs pull` there")


def _graph_of(path: Path, config: Config) -> Path | None:
    """The repository's own graph, where none can be built."""
    if _is_built(config.path.parent, config):
        return None
    folders = (path / "onnx", path, config.path.parent)
    return next((folder / GRAPH for folder in folders if (folder / GRAPH).is_file()), None)


def _is_built(folder: Path, config: Config) -> bool:
    """Whether a graph can be built: the family is known, the weights are there, and the network is understood."""
    if str(config.value("model_type", None)) not in FAMILIES:
        return False
    if not any((folder / name).is_file() for name in weights.NAMES):
        return False
    try:
        _encoder(config)
    except NotUnderstoodError:
        return False
    return True


def _of_texts(folder: Path) -> Config:
    """What the folder says of texts, in the first of these files that is there."""
    return next((configs.read(folder / name) for name in _TEXT_FILES if (folder / name).is_file()), Config(folder, {}))


def _tokens_max(folder: Path, texts: Config, config: Config, network: Encoder | Path) -> int:
    """What the network takes, and of that what the folder says: itself, or since Sentence Transformers 6 its tokenizer."""
    if isinstance(network, Encoder):
        positions = network.positions
    else:  # of some families more than can be used: RoBERTa's first two are for padding
        positions = config.size("max_position_embeddings", "n_positions", default=_POSITIONS)
    if "max_seq_length" in texts:
        return min(texts.size("max_seq_length"), positions)
    of_tokenizer = configs.read_if_there(folder / "tokenizer_config.json")
    if "model_max_length" not in of_tokenizer:
        return positions
    return int(min(of_tokenizer.number("model_max_length"), positions))  # 1e30 is no limit


def _encoder(config: Config) -> Encoder:
    family = config.choice("model_type", choices=FAMILIES)
    encoder = family.read(config)
    if encoder.hidden % encoder.heads:
        raise config.fault(f"hidden size {encoder.hidden} is no multiple of {encoder.heads} heads")
    return encoder


def _encoder_alone(config: Config) -> Encoder:
    """As `_encoder`, where the repository has no graph of its own."""
    try:
        return _encoder(config)
    except NotUnderstoodError as error:
        raise ModelFolderError(f"{error}, or an onnx/{GRAPH} in the folder") from error


def _task(config: Config, modules: Modules, pooling: Pooling | None) -> Task:
    """TEI's rule: what the architecture's name ends in."""
    names = config.value("architectures", [])
    if any(str(name).endswith("Classification") for name in names):
        return "reranker" if len(_labels(config)) == 1 else "classifier"
    if (pooling or modules.pooling) != "splade":
        return "embedding"
    if not any(str(name).endswith("MaskedLM") for name in names):
        raise config.fault(f"architectures is {names!r}; splade needs the head of a MaskedLM")
    return "splade"


def _pooling(path: Path, config: Config, modules: Modules, asked: Pooling | None, task: Task) -> Pooling:
    if task in SCORING:
        if config.value("model_type") != "modernbert":
            return "cls"
        of_heads: dict[str, Pooling] = {"cls": "cls", "mean": "mean"}
        return config.choice("classifier_pooling", choices=of_heads, default="cls")
    found = asked or modules.pooling
    if found is None:
        raise ModelFolderError(f"{path / 'modules.json'}: no pooling; EMBEDDER_POOLING says how to pool without it")
    return found


def _labels(config: Config) -> tuple[str, ...]:
    """In the order of the scores."""
    labels = dict(config.inner("id2label").items())
    if not labels:
        return ("LABEL_0", "LABEL_1")  # what the format leaves out
    try:
        return tuple(str(labels[str(place)]) for place in range(len(labels)))
    except KeyError as error:
        raise config.fault(f"id2label has no {error}") from error
