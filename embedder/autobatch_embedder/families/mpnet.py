"""MPNet: BERT without segments, with scores by distance beside positions. Source: https://arxiv.org/abs/2004.09297."""

from autobatch_embedder.families.bert import ACTIVATIONS
from autobatch_embedder.families.config import Config
from autobatch_embedder.families.encoder import Encoder

_FIRST_POSITION = 2  # after that of the padding token, whose id the network fixes at 1


def mpnet(config: Config) -> Encoder:
    """Read its config."""
    return Encoder(
        layers=config.size("num_hidden_layers"),
        heads=config.size("num_attention_heads"),
        hidden=config.size("hidden_size"),
        intermediate=config.size("intermediate_size"),
        vocabulary=config.size("vocab_size"),
        positions=config.size("max_position_embeddings") - _FIRST_POSITION,
        epsilon=config.number("layer_norm_eps"),
        activation=config.choice("hidden_act", choices=ACTIVATIONS),
        first_position=_FIRST_POSITION,
        relative_buckets=config.size("relative_attention_num_buckets", default=32),
    )


NAMES = (
    (r"(encoder\.layer\.\d+)\.attention\.attn\.([qkv])", r"\1.attention.self.\2"),
    (r"(encoder\.layer\.\d+)\.attention\.attn\.o", r"\1.attention.output.dense"),
    (r"(encoder\.layer\.\d+)\.attention\.LayerNorm", r"\1.attention.output.LayerNorm"),
)
