"""The names that people bring along from other batching proxies and from docker compose, and what each means here.

One table, `FOREIGN`: a name either is a setting of ours by another name, in every source and in every container, or it is
refused with what to use instead. A `.env` may hold docker compose's names beside ours; they are `is_composes`.
"""

from dataclasses import dataclass

OF_MODEL = "what is served is EMBEDDER_MODEL_DIR or EMBEDDER_MODEL_ID, or the upstream at INFERENCE_URL"


@dataclass(frozen=True, slots=True)
class Foreign:
    """One foreign name, in capitals as in the environment.

    Attributes:
        name: Its spelling in the environment; as a flag and in a file it is spelt as ours are.
        whose: The system that has it.
        setting: The setting that it stands for here, in lower case; empty: it is refused.
        instead: What to use where it is refused.
        is_unmistakable: Whether no other program has this name, so that in docker compose's environment it is refused too.
        is_anyones: Whether so many programs have this name that in the environment it is not worth a warning.
    """

    name: str
    whose: str
    setting: str = ""
    instead: str = ""
    is_unmistakable: bool = False
    is_anyones: bool = False


FOREIGN: tuple[Foreign, ...] = (
    Foreign("API_KEY", "text-embeddings-inference", setting="api_keys"),
    # Auto batching proxy for TEI (Rust, Rocket): flags only.
    Foreign(
        "BATCH_CHECK_INTERVAL_MS",
        "Rocket proxy",
        instead="leave it out: a batch is sent when it is due, nothing is checked periodically",
        is_unmistakable=True,
    ),
    Foreign(
        "INFERENCE_TIMEOUT_SECS",
        "Rocket proxy",
        instead="use UPSTREAM_TIMEOUT_MS, in milliseconds",
        is_unmistakable=True,
    ),
    Foreign(
        "MAX_INFERENCE_INPUTS",
        "Rocket proxy",
        instead="use MAX_BATCH_SIZE, the most inputs in one upstream call; less is learnt from the upstream's /info",
        is_unmistakable=True,
    ),
    Foreign(
        "INCLUDE_BATCH_INFO",
        "Rocket proxy",
        instead="leave it out: every answer has the headers x-batch-size and server-timing",
        is_unmistakable=True,
    ),
    # Auto-batching proxy (Rust, axum) with a config.toml. Its `debug = true` is understood there: `settings.loading`.
    Foreign("MAX_CONCURRENT_WORKERS", "axum proxy with config.toml", setting="max_concurrent_batches"),
    Foreign("DEBUG", "axum proxy with config.toml", instead="use LOG_LEVEL=debug", is_anyones=True),
    Foreign(
        "CONFIG",
        "axum proxy with config.toml",
        instead="the file is config.toml in the working folder: start there",
        is_anyones=True,
    ),
    Foreign("RUST_LOG", "every proxy in Rust", setting="log_level"),
    # Auto-batching proxy (Rust, axum) with a .env.
    Foreign("MAX_WAIT_TIME", "axum proxy with .env", setting="max_wait_time_ms"),
    Foreign("INFERENCE_SERVICE_URL", "axum proxy with .env", setting="inference_url"),
    Foreign("INFERENCE_SERVICE_KEY", "axum proxy with .env", setting="inference_api_key"),
    Foreign("IP", "axum proxy with .env", setting="host"),
    # CPU embedding server (Python, FastAPI): common spellings of what it configures.
    Foreign("MODEL", "FastAPI server", instead=OF_MODEL),
    Foreign("MODEL_PATH", "FastAPI server", instead=OF_MODEL),
    Foreign("MODEL_DIR", "FastAPI server", instead=OF_MODEL),
    Foreign("WORKERS", "FastAPI server", instead="use WEB_CONCURRENCY"),
    Foreign("NUM_WORKERS", "FastAPI server", instead="use WEB_CONCURRENCY"),
    Foreign("THREADS", "FastAPI server", instead="use EMBEDDER_THREADS"),
    Foreign("NUM_THREADS", "FastAPI server", instead="use EMBEDDER_THREADS"),
    Foreign(
        "POOLING", "FastAPI server", instead="use EMBEDDER_POOLING; without it the model's own files say how to pool"
    ),
    Foreign("QUANTIZE", "FastAPI server", instead="use EMBEDDER_QUANTIZE"),
    Foreign("QUANTIZATION", "FastAPI server", instead="use EMBEDDER_QUANTIZE"),
    # Triton gRPC proxy (Rust).
    Foreign("TRITON_SERVER_URL", "Triton proxy", setting="inference_url"),
    Foreign("TRITON_SERVER_GRPC_PORT", "Triton proxy", setting="upstream_grpc_port"),
    Foreign("MODEL_NAME", "Triton proxy", setting="upstream_model"),
    Foreign("MODEL_VERSION", "Triton proxy", setting="upstream_model_version"),
    Foreign("INPUT_NAME", "Triton proxy", setting="upstream_input"),
    Foreign("OUTPUT_NAME", "Triton proxy", setting="upstream_output"),
    Foreign("EMBEDDING_SIZE", "Triton proxy", setting="upstream_dimension"),
)

COMPOSE_NAMES = frozenset(
    {"UPSTREAM", "TEI_IMAGE", "MODEL_ID", "HF_TOKEN", "REDIS_PASSWORD", "REDIS_MAXMEMORY", "TLS_DIR"}
)
"""What docker-compose.yml and its parts take from `.env` for programs that are not ours."""

COMPOSE_PREFIXES = ("COMPOSE_", "DOCKER_", "BUILDKIT_")
"""What docker compose itself takes from `.env`."""

OPENTELEMETRY_PREFIX = "OTEL_"
"""What OpenTelemetry takes from the environment, for traces: `autobatch_shared.tracing`."""


def aliases_of(setting: str) -> tuple[str, ...]:
    """Return the foreign names of a setting, in lower case."""
    return tuple(row.name.lower() for row in FOREIGN if row.setting == setting)


def refused(name: str) -> Foreign | None:
    """Return the row of a name, in any case, that is refused with what to use instead."""
    return next((row for row in FOREIGN if row.name == name.upper() and not row.setting), None)


def is_composes(name: str) -> bool:
    """Whether a name, in any case, in `.env` is for docker compose."""
    return name.upper() in COMPOSE_NAMES or name.upper().startswith(COMPOSE_PREFIXES)


def is_opentelemetrys(name: str) -> bool:
    """Whether a name, in any case, is for OpenTelemetry."""
    return name.upper().startswith(OPENTELEMETRY_PREFIX)
