"""The network of a model, loaded for a division of the cores: for a pass that runs alone, and for passes beside each other."""

from pathlib import Path

from autobatch_embedder.model.dividing.division import Division
from autobatch_embedder.model.dividing.packed_weights import packed
from autobatch_embedder.model.network import networks
from autobatch_embedder.model.network.networks import LoadedNetwork
from autobatch_embedder.model_files.model_folder import ModelFolder
from autobatch_shared.cores import cores


def load(folder: ModelFolder, graph: Path | bytes, division: Division) -> tuple[LoadedNetwork, LoadedNetwork]:
    """Load what `graph_cache.load` returned, for a pass alone and for passes beside others: two, or twice the same one.

    Two only where they share their weights.

    Raises:
        ModelFolderError: It cannot be loaded, or does not return what the model is for.
    """
    shared = packed(graph) if isinstance(graph, Path) and graph != folder.published_graph else None
    alone = networks.load(folder, shared or graph, division.threads)
    threads = division.threads_beside(cores())
    return alone, networks.load(folder, shared, threads) if shared and threads < division.threads else alone
