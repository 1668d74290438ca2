"""Nomic BERT: rotary positions and gates, norms after the blocks. Source: https://arxiv.org/abs/2402.01613."""

from autobatch_embedder.families.config import Config
from autobatch_embedder.families.encoder import Activation, Encoder, Rotary

_GATES: dict[str, Activation] = {"swiglu": "silu", "geglu": "gelu"}


def nomic_bert(config: Config) -> Encoder:
    """Read its config, whose sizes have GPT-2's names."""
    config.only("prenorm", False)
    config.only("rotary_emb_fraction", 1.0, 1)
    config.only("rotary_emb_interleaved", False)
    config.only("rotary_scaling_factor", None)
    config.only("rotary_emb_scale_base", None)
    config.only("mlp_fc1_bias", False)
    config.only("mlp_fc2_bias", False)
    return Encoder(
        layers=config.size("n_layer"),
        heads=config.size("n_head"),
        hidden=config.size("n_embd"),
        intermediate=config.size("n_inner"),
        vocabulary=config.size("vocab_size"),
        positions=config.size("n_positions"),
        segments=config.count("type_vocab_size", default=2),
        epsilon=config.number("layer_norm_epsilon"),
        activation=config.choice("activation_function", choices=_GATES),
        is_gated=True,
        rotary=Rotary(base=config.number("rotary_emb_base", default=10_000.0)),
        has_attention_bias=config.flag("qkv_proj_bias", default=False),
        has_inner_bias=False,
    )


NAMES = (
    (r"emb_ln", r"embeddings.LayerNorm"),
    (r"encoder\.layers\.(\d+)\.attn\.Wqkv", r"encoder.layer.\1.attention.self.qkv"),
    (r"encoder\.layers\.(\d+)\.attn\.out_proj", r"encoder.layer.\1.attention.output.dense"),
    (r"encoder\.layers\.(\d+)\.norm1", r"encoder.layer.\1.attention.output.LayerNorm"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc12", r"encoder.layer.\1.intermediate.dense"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc11", r"encoder.layer.\1.intermediate.gate"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc2", r"encoder.layer.\1.output.dense"),
    (r"encoder\.layers\.(\d+)\.norm2", r"encoder.layer.\1.output.LayerNorm"),
)
