"""MPNet: BERT without segments, with scores by distance beside positions. Source: https://arxiv.org/abs/2004.09297."""

from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.bert import absolute
from autobatch_embedder.model_files.families.encoder import Encoder

_FIRST_POSITION = 2  # after that of the padding token, whose id the network fixes at 1


def mpnet(config: Config) -> Encoder:
    """Read its config, which has BERT's names."""
    buckets = config.size("relative_attention_num_buckets", default=32)
    return absolute(config, first_position=_FIRST_POSITION, relative_buckets=buckets)


NAMES = (
    (r"(encoder\.layer\.\d+)\.attention\.attn\.([qkv])", r"\1.attention.self.\2"),
    (r"(encoder\.layer\.\d+)\.attention\.attn\.o", r"\1.attention.output.dense"),
    (r"(encoder\.layer\.\d+)\.attention\.LayerNorm", r"\1.attention.output.LayerNorm"),
)
