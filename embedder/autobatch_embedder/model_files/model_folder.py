"""What is known of a model before it is loaded: its network, its tokens, its pooling, its task."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from autobatch_embedder.errors import ModelFolderError
from autobatch_embedder.model_files import weights
from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.encoder import Encoder
from autobatch_embedder.model_files.families.table import FAMILIES, Tensors, renamed
from autobatch_embedder.model_files.modules import DenseFile, Pooling

Task = Literal["embedding", "classifier", "reranker", "splade"]
"""What the model is for, and so which routes it answers."""

SCORING: frozenset[Task] = frozenset({"classifier", "reranker"})
"""The tasks whose answers are scores of labels."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that can be served.

    Attributes:
        path: The folder of the network and its tokenizer.
        model_id: The name that /info shows.
        network: What is built here, or the file of the graph that the repository has of it.
        tokens_max: The longest input in tokens, special ones included.
        prompts: Name to text; None when the model has no such list.
        config: The network's config.json.
        task: What the model is for.
        lowercases: Whether texts are lower-cased before the tokenizer gets them.
        pooling: How the vectors of the tokens become one.
        dense: Layers after the pooling.
        normalize: Whether the model's own vectors have length 1; a client may ask for either.
        logarithms: How often log(1 + x) is taken of the scores of words, for `splade`.
        dimensions: Of a vector whose client does not say; None: all.
        labels: Of a classifier or re-ranker, in the order of its scores.
        revision: Of the repository that it came from; None: a folder.
    """

    path: Path
    model_id: str
    network: Encoder | Path
    tokens_max: int
    prompts: dict[str, str] | None
    config: Config = field(repr=False)
    task: Task = "embedding"
    lowercases: bool = False
    pooling: Pooling = "mean"
    dense: tuple[DenseFile, ...] = ()
    normalize: bool = True
    logarithms: int = 1
    dimensions: int | None = None
    labels: tuple[str, ...] = ()
    revision: str | None = None

    @property
    def encoder(self) -> Encoder:
        """The network.

        Raises:
            ModelFolderError: Only its graph is there.
        """
        if isinstance(self.network, Path):
            raise ModelFolderError(f"{self.network}: this graph can be served, but neither quantised nor converted")
        return self.network

    @property
    def published_graph(self) -> Path | None:
        """The file of the repository's graph, if that is what is served."""
        return self.network if isinstance(self.network, Path) else None

    @property
    def vocabulary(self) -> int | None:
        """Token ids are below it; None: the config of a published graph does not say."""
        if isinstance(self.network, Encoder):
            return self.network.vocabulary
        return self.config.size("vocab_size") if "vocab_size" in self.config else None

    def tensors(self) -> Tensors:
        """Return its weights by their common names, which are BERT's.

        Raises:
            ModelFolderError: A file of them is not understood.
        """
        return renamed(FAMILIES[self.config.value("model_type")], weights.read_all(self.path))

    @property
    def has_segments(self) -> bool:
        """Whether the second text of a pair is another segment to the network."""
        if isinstance(self.network, Path):
            segments = self.config.count("type_vocab_size", default=0)
        else:
            segments = self.network.segments
        return self.task in SCORING and segments > 1
