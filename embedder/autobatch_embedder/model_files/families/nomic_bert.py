"""Nomic BERT: rotary positions and gates, norms after the blocks. Source: https://arxiv.org/abs/2402.01613."""

from autobatch_embedder.model_files.config import Config
from autobatch_embedder.model_files.families.bert import ACTIVATIONS
from autobatch_embedder.model_files.families.encoder import Activation, Encoder, Rotary

_GATES: dict[str, Activation] = {"swiglu": "silu", "geglu": "gelu"}


def nomic_bert(config: Config) -> Encoder:
    """Read its config: with GPT-2's names for the sizes, as its authors wrote it, or with BERT's, as Transformers 5 does."""
    is_by_transformers = "hidden_size" in config
    size, heads = config.size("n_embd", "hidden_size"), config.size("n_head", "num_attention_heads")
    config.only("head_dim", size // heads)
    config.only("prenorm", False)
    config.only("rotary_emb_fraction", 1.0, 1)
    config.only("rotary_emb_interleaved", False)
    config.only("rotary_scaling_factor", None)
    config.only("rotary_emb_scale_base", None)
    config.only("mlp_fc1_bias", False)
    config.only("mlp_fc2_bias", False)
    return Encoder(
        layers=config.size("n_layer", "num_hidden_layers"),
        heads=heads,
        hidden=size,
        intermediate=config.size("n_inner", "intermediate_size"),
        vocabulary=config.size("vocab_size"),
        positions=config.size("n_positions", "max_position_embeddings"),
        segments=config.count("type_vocab_size", default=2),
        epsilon=config.number("layer_norm_epsilon", "layer_norm_eps"),
        activation=(
            config.choice("hidden_act", choices=ACTIVATIONS)
            if is_by_transformers
            else config.choice("activation_function", choices=_GATES)
        ),
        is_gated=True,
        rotary=Rotary(base=_base(config) if is_by_transformers else config.number("rotary_emb_base", default=10_000.0)),
        has_attention_bias=config.flag("qkv_proj_bias", default=False),
        has_inner_bias=False,
    )


def _base(config: Config) -> float:
    parameters = config.inner("rope_parameters")
    parameters.only("rope_type", "default")
    parameters.only("partial_rotary_factor", 1.0, 1)
    return parameters.number("rope_theta")


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
