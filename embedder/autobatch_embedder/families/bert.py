"""BERT and those with its tensors under its names: RoBERTa, XLM-R, CamemBERT."""

from autobatch_embedder.families.config import Config
from autobatch_embedder.families.encoder import Activation, Encoder

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
    return _encoder(config, first_position=0)


def roberta(config: Config) -> Encoder:
    """Positions begin after that of the padding token. Source: RoBERTa, https://arxiv.org/abs/1907.11692."""
    return _encoder(config, first_position=config.count("pad_token_id", default=1) + 1)


def _encoder(config: Config, first_position: int) -> Encoder:
    config.only("position_embedding_type", "absolute")
    config.only("is_decoder", False)
    return Encoder(
        layers=config.size("num_hidden_layers"),
        heads=config.size("num_attention_heads"),
        hidden=config.size("hidden_size"),
        intermediate=config.size("intermediate_size"),
        vocabulary=config.size("vocab_size"),
        positions=config.size("max_position_embeddings") - first_position,
        segments=config.size("type_vocab_size"),
        epsilon=config.number("layer_norm_eps"),
        activation=config.choice("hidden_act", choices=ACTIVATIONS),
        first_position=first_position,
    )


NAMES: tuple[tuple[str, str], ...] = ()
"""All tensors have the names that the graph asks for."""
