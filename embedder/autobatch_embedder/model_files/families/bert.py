"""BERT and those with its tensors under its names: RoBERTa, XLM-R, CamemBERT."""

from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.encoder import Activation, Encoder

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""By their names in config.json."""


def bert(config: Config) -> Encoder:
    """Source: BERT, https://arxiv.org/abs/1810.04805."""
    return absolute(config, segments=config.size("type_vocab_size"))


def roberta(config: Config) -> Encoder:
    """Positions begin after that of the padding token. Source: RoBERTa, https://arxiv.org/abs/1907.11692."""
    first = config.count("pad_token_id", default=1) + 1
    return absolute(config, segments=config.size("type_vocab_size"), first_position=first)


def absolute(config: Config, *, segments: int = 0, first_position: int = 0, relative_buckets: int = 0) -> Encoder:
    """Read BERT's names for the sizes. Positions are embeddings; what else a family has is passed in."""
    config.only("position_embedding_type", "absolute")
    config.only("is_decoder", False)
    return Encoder(
        layers=config.size("num_hidden_layers"),
        heads=config.size("num_attention_heads"),
        hidden=config.size("hidden_size"),
        intermediate=config.size("intermediate_size"),
        vocabulary=config.size("vocab_size"),
        positions=config.size("max_position_embeddings") - first_position,
        segments=segments,
        epsilon=config.number("layer_norm_eps"),
        activation=config.choice("hidden_act", choices=ACTIVATIONS),
        first_position=first_position,
        relative_buckets=relative_buckets,
    )
