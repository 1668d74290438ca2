"""The table of TEI's errors, word for word: clients and the batcher match on these."""

import pytest

from autobatch_embedder import errors
from autobatch_embedder.errors import BodyError, TeiError

V = "Input validation error: "
PROMPT = f"{V}`default-prompt-name` is set to `q` but "


@pytest.mark.parametrize(
    ("error", "error_type", "status", "message"),
    [
        (errors.batch_too_long(33, 32), "Validation", 422, "batch size 33 > maximum allowed batch size 32"),
        (errors.empty_list("inputs"), "Empty", 400, "`inputs` cannot be empty"),
        (errors.empty_input(), "Empty", 400, f"{V}`inputs` cannot be empty"),
        (
            errors.too_many_tokens(300, 256),
            "Validation",
            422,
            f"{V}`inputs` must have less than 256 tokens. Given: 300",
        ),
        (
            errors.too_many_characters(64_001, 64_000),
            "Validation",
            422,
            f"{V}`inputs` must have less than 64000 characters. Given: 64001",
        ),
        (
            errors.no_prompts("q"),
            "Validation",
            422,
            f"{PROMPT}no prompts were found in the Sentence Transformers configuration",
        ),
        (
            errors.unknown_prompt("q", ["a", "b"]),
            "Validation",
            422,
            f'{PROMPT}it was not found in the Sentence Transformers prompts. Available prompts: ["a", "b"]',
        ),
        (errors.zero_dimensions(), "Validation", 422, f"{V}`dimensions` should be positive"),
        (
            errors.too_many_dimensions(),
            "Validation",
            422,
            f"{V}`dimensions` should be smaller than the maximum embedding dimension.",
        ),
        (errors.tokenizer_failed("x"), "Tokenizer", 422, "tokenizer error x"),
        (errors.overloaded(), "Overloaded", 429, "Model is overloaded"),
        (errors.backend_failed("x"), "Backend", 424, "Backend error: x"),
        (errors.empty_list("texts"), "Empty", 400, "`texts` cannot be empty"),
        (errors.empty_ids(), "Empty", 400, f"{V}`input_ids` cannot be empty"),
        (errors.not_a_classifier(), "Backend", 424, "Backend error: Model is not a classifier model"),
        (errors.not_a_reranker(), "Backend", 424, "Backend error: model is not a re-ranker model"),
        (
            errors.not_sparse(),
            "Backend",
            424,
            "Backend error: Model is not an embedding model with SPLADE pooling",
        ),
        (errors.bad_instance("x"), "Validation", 422, "x"),
        (errors.unhealthy(), "Unhealthy", 503, "unhealthy"),
    ],
)
def test_tei_errors_are_teis(error: TeiError, error_type: str, status: int, message: str) -> None:
    assert (error_type, status, message) == (error.error_type, error.status, error.message)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (errors.wrong_content_type(), 415, "Expected request with `Content-Type: application/json`"),
        (errors.body_too_long(), 413, "Failed to buffer the request body: length limit exceeded"),
        (errors.invalid_json("x"), 400, "Failed to parse the request body as JSON: x"),
        (errors.wrong_shape("x"), 422, "Failed to deserialize the JSON body into the target type: x"),
    ],
)
def test_framework_errors_are_teis(error: BodyError, status: int, text: str) -> None:
    assert (status, text) == (error.status, error.text)
