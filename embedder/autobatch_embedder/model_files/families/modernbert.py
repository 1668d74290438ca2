"""ModernBERT: rotary positions, windows, gates, norms before the blocks. Source: https://arxiv.org/abs/2412.13663."""

from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.bert import ACTIVATIONS
from autobatch_embedder.model_files.families.encoder import Encoder, Rotary


def modernbert(config: Config) -> Encoder:
    """Read its config, whose rotations have had two layouts: two fields, and an object for each kind of layer."""
    every = config.size("global_attn_every_n_layers", default=3)
    layers = config.size("num_hidden_layers")
    if "layer_types" in config:
        expected = ["sliding_attention" if layer % every else "full_attention" for layer in range(layers)]
        config.only("layer_types", expected)
    return Encoder(
        layers=layers,
        heads=config.size("num_attention_heads"),
        hidden=config.size("hidden_size"),
        intermediate=config.size("intermediate_size"),
        vocabulary=config.size("vocab_size"),
        positions=config.size("max_position_embeddings"),
        epsilon=config.number("norm_eps"),
        activation=config.choice("hidden_activation", choices=ACTIVATIONS),
        is_gated=True,
        is_pre_norm=True,
        rotary=Rotary(
            base=_base(config, "full_attention", "global_rope_theta", 160_000.0),
            local_base=_base(config, "sliding_attention", "local_rope_theta", 10_000.0),
            window=config.size("local_attention", default=128) // 2,
            global_every=every,
        ),
        has_attention_bias=config.flag("attention_bias", default=False),
        has_inner_bias=config.flag("mlp_bias", default=False),
        has_norm_bias=config.flag("norm_bias", default=False),
    )


def _base(config: Config, kind: str, older: str, default: float) -> float:
    if "rope_parameters" not in config:
        return config.number(older, default=default)
    parameters = config.inner("rope_parameters").inner(kind)
    parameters.only("rope_type", "default")
    return parameters.number("rope_theta", default=default)


NAMES = (
    (r"embeddings\.tok_embeddings", r"embeddings.word_embeddings"),
    (r"embeddings\.norm", r"embeddings.LayerNorm"),
    (r"layers\.(\d+)\.attn_norm", r"encoder.layer.\1.attention.output.LayerNorm"),
    (r"layers\.(\d+)\.attn\.Wqkv", r"encoder.layer.\1.attention.self.qkv"),
    (r"layers\.(\d+)\.attn\.Wo", r"encoder.layer.\1.attention.output.dense"),
    (r"layers\.(\d+)\.mlp_norm", r"encoder.layer.\1.output.LayerNorm"),
    (r"layers\.(\d+)\.mlp\.Wi", r"encoder.layer.\1.intermediate.both"),
    (r"layers\.(\d+)\.mlp\.Wo", r"encoder.layer.\1.output.dense"),
    (r"final_norm", r"encoder.LayerNorm"),
)
