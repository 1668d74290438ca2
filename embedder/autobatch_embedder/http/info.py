"""What GET /info says."""

from autobatch_embedder.model.engine import Engine

CONTRACT_VERSION = "1.9.3"  # the TEI whose answers these are; clients choose their behaviour by it


def describe(engine: Engine) -> dict[str, object]:
    """TEI's flat object, in its order."""
    folder, limits = engine.model.folder, engine.limits
    return {
        "model_id": folder.model_id,
        "model_sha": None,
        "model_dtype": "float32",
        "served_model_name": folder.model_id,
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_concurrent_requests": limits.inputs_max,
        "max_input_length": folder.tokens_max,
        "max_batch_tokens": limits.batch_inputs_max * folder.tokens_max,
        "max_batch_requests": limits.batch_inputs_max,
        "max_client_batch_size": limits.batch_inputs_max,
        "auto_truncate": limits.truncate,
        "tokenization_workers": engine.tokenizer_threads,
        "version": CONTRACT_VERSION,
        "sha": None,
        "docker_label": None,
    }
