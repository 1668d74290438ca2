"""DistilBERT: BERT without segments. Source: https://arxiv.org/abs/1910.01108."""

from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.bert import ACTIVATIONS
from autobatch_embedder.model_files.families.encoder import Encoder


def distilbert(config: Config) -> Encoder:
    """Read its names for the sizes. The positions are embeddings in the file, also those computed by sines."""
    return Encoder(
        layers=config.size("n_layers"),
        heads=config.size("n_heads"),
        hidden=config.size("dim"),
        intermediate=config.size("hidden_dim"),
        vocabulary=config.size("vocab_size"),
        positions=config.size("max_position_embeddings"),
        activation=config.choice("activation", choices=ACTIVATIONS),
    )


NAMES = (
    (r"transformer\.layer\.(\d+)\.attention\.([qkv])_lin", r"encoder.layer.\1.attention.self.\2"),
    (r"transformer\.layer\.(\d+)\.attention\.out_lin", r"encoder.layer.\1.attention.output.dense"),
    (r"transformer\.layer\.(\d+)\.sa_layer_norm", r"encoder.layer.\1.attention.output.LayerNorm"),
    (r"transformer\.layer\.(\d+)\.ffn\.lin1", r"encoder.layer.\1.intermediate.dense"),
    (r"transformer\.layer\.(\d+)\.ffn\.lin2", r"encoder.layer.\1.output.dense"),
    (r"transformer\.layer\.(\d+)\.output_layer_norm", r"encoder.layer.\1.output.LayerNorm"),
)
