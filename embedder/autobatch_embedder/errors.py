"""Every error of the embedder, and the one table of TEI's errors.

EmbedderError
|-- ModelFolderError   the model folder cannot be served; ends the process at start
|-- TeiError           TEI's own JSON answer, made by the functions of the table below
`-- BodyError          what TEI's web framework answers in plain text before TEI's code runs

Texts and statuses are those of TEI 1.9; clients match on them, so a change here is a change of the contract.
"""

from collections.abc import Iterable

STATUS_OF = {"Empty": 400, "Validation": 422, "Tokenizer": 422, "Backend": 424, "Overloaded": 429, "Unhealthy": 503}
"""HTTP status of each `error_type`."""


class EmbedderError(Exception):
    """Base of every error of this package."""


class ModelFolderError(EmbedderError):
    """A file of the model folder is missing or has contents that this embedder does not support."""


class NotUnderstoodError(ModelFolderError):
    """A network that is not built here: a field of its config has a value that may be right elsewhere."""


class TeiError(EmbedderError):
    """An answer `{"error": ..., "error_type": ...}`.

    Attributes:
        error_type: A key of STATUS_OF.
        message: The text for the client.
        cause: The `err` label of `te_request_failure`.
    """

    def __init__(self, error_type: str, message: str, cause: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.cause = cause

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS_OF[self.error_type]


class BodyError(EmbedderError):
    """A plain-text answer: the body could not be read as a request. TEI does not count these."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


# The table. One function a row; "{...}" parts are its arguments.


def batch_too_long(count: int, count_max: int) -> TeiError:
    """A list with more inputs than one request may have."""
    return TeiError("Validation", f"batch size {count} > maximum allowed batch size {count_max}", "batch_size")


def empty_list(name: str) -> TeiError:
    """An empty list on /tokenize, /rerank or /similarity; the only message without the prefix."""
    return TeiError("Empty", f"`{name}` cannot be empty", "validation")


def empty_input() -> TeiError:
    """An empty text or an empty list of token ids."""
    return TeiError("Empty", "Input validation error: `inputs` cannot be empty", "tokenization")


def empty_ids() -> TeiError:
    """An empty list of token ids on /decode."""
    return TeiError("Empty", "Input validation error: `input_ids` cannot be empty", "tokenization")


def too_many_tokens(count: int, count_max: int) -> TeiError:
    """An input longer than the model takes, with truncation off. Equal is allowed, whatever the text says."""
    return _invalid(f"`inputs` must have less than {count_max} tokens. Given: {count}", "tokenization")


def too_many_characters(count: int, count_max: int) -> TeiError:
    """An input that is refused before it is tokenised."""
    return _invalid(f"`inputs` must have less than {count_max} characters. Given: {count}", "tokenization")


def no_prompts(name: str) -> TeiError:
    """A `prompt_name` for a model that has no prompts."""
    return _invalid(
        f"`default-prompt-name` is set to `{name}` but no prompts were found in the Sentence Transformers configuration",
        "tokenization",
    )


def unknown_prompt(name: str, names: Iterable[str]) -> TeiError:
    """A `prompt_name` that is not among the model's prompts."""
    known = ", ".join(f'"{other}"' for other in names)
    return _invalid(
        f"`default-prompt-name` is set to `{name}` but it was not found in the Sentence Transformers prompts. "
        f"Available prompts: [{known}]",
        "tokenization",
    )


def zero_dimensions() -> TeiError:
    """`dimensions: 0`."""
    return _invalid("`dimensions` should be positive", "validation")


def too_many_dimensions() -> TeiError:
    """`dimensions` above the model's size. Equal is allowed, whatever the text says."""
    return _invalid("`dimensions` should be smaller than the maximum embedding dimension.", "validation")


def tokenizer_failed(reason: object) -> TeiError:
    """The tokenizer raised."""
    return TeiError("Tokenizer", f"tokenizer error {reason}", "tokenization")


def overloaded() -> TeiError:
    """No permit is left."""
    return TeiError("Overloaded", "Model is overloaded", "overloaded")


def backend_failed(reason: object) -> TeiError:
    """The forward pass raised, or cannot be run."""
    return TeiError("Backend", f"Backend error: {reason}", "inference")


def not_an_embedder() -> TeiError:
    """/embed and its like: the model makes scores."""
    return _wrong_model("Model is not an embedding model")


def not_a_classifier() -> TeiError:
    """/predict: the model makes vectors."""
    return _wrong_model("Model is not a classifier model")


def not_a_reranker() -> TeiError:
    """/rerank: the model makes vectors, or more scores than one."""
    return _wrong_model("model is not a re-ranker model")


def not_sparse() -> TeiError:
    """/embed_sparse: the model makes dense vectors, or scores."""
    return _wrong_model("Model is not an embedding model with SPLADE pooling")


def sparse_is_not_normalized() -> TeiError:
    """/embed with `normalize`, which is the default: the model makes sparse vectors."""
    return _wrong_model("`normalize` is not available for SPLADE models")


def no_tokens_of_sparse() -> TeiError:
    """/embed_all: the model makes sparse vectors."""
    return _wrong_model("`embed_all` is not available for SPLADE models")


def score_is_nan() -> TeiError:
    """A score that cannot be sorted; without the prefix."""
    return TeiError("Backend", "score is NaN", "inference")


def bad_instance(reason: str) -> TeiError:
    """An instance of /vertex that is not a request; unlike a body, it has no position in a text."""
    return TeiError("Validation", reason, "validation")


def unhealthy() -> TeiError:
    """The last forward pass failed, and so did the one that /health tried."""
    return TeiError("Unhealthy", "unhealthy", "inference")


def wrong_content_type() -> BodyError:
    """Neither application/json nor application/*+json."""
    return BodyError(415, "Expected request with `Content-Type: application/json`")


def body_too_long() -> BodyError:
    """More bytes than PAYLOAD_LIMIT."""
    return BodyError(413, "Failed to buffer the request body: length limit exceeded")


def invalid_json(reason: str) -> BodyError:
    """The body is not JSON; `reason` ends with `at line L column C`."""
    return BodyError(400, f"Failed to parse the request body as JSON: {reason}")


def wrong_shape(reason: str) -> BodyError:
    """The body is JSON of another shape; `reason` ends with `at line L column C`."""
    return BodyError(422, f"Failed to deserialize the JSON body into the target type: {reason}")


def _invalid(text: str, cause: str) -> TeiError:
    return TeiError("Validation", f"Input validation error: {text}", cause)


def _wrong_model(text: str) -> TeiError:
    return TeiError("Backend", f"Backend error: {text}", "model_type")
