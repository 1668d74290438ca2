"""Every setting of every process: unit, allowed range and default. Read once, at start, by `settings.loading.load`.

All of them live in one file because one `config.toml` and one `.env` serve all processes, so that a misspelt name
can be told from another process's setting, and because `.env.example` and the table of docs/settings.md are made from here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationInfo,
    field_serializer,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from autobatch_shared.contract.model_names import fault_of
from autobatch_shared.settings.choices import (
    AUTO,
    DIALECTS,
    OVER_GRPC,
    OVER_HTTP,
    POLICIES,
    SCHEMES,
    described,
    is_grpc,
    over_grpc,
)
from autobatch_shared.settings.foreign_names import aliases_of
from autobatch_shared.settings.redis_urls import check_redis_url
from autobatch_shared.settings.upstream_headers import headers_in, upstream_headers

LogLevel = Literal["debug", "info", "warning", "error"]
Quantization = Literal["int8"]
LOG_LEVELS = get_args(LogLevel)
if TYPE_CHECKING:  # the words of a table, which a type checker cannot know
    PolicyName = str
    DialectName = str
else:
    PolicyName = Literal[tuple(POLICIES)]
    DialectName = Literal[(AUTO, *DIALECTS)]
RUST_LEVELS = {"warn": "warning", "trace": "debug", "off": "error"}
EMBED = "/embed"


def _names(setting: str) -> AliasChoices:
    return AliasChoices(setting, *aliases_of(setting))


def _redis_url(value: SecretStr) -> SecretStr:
    check_redis_url(_split(value.get_secret_value()))
    return value


def _upstream_urls(value: str) -> str:
    for url in value.split(","):
        parts = _split(url.strip())
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ValueError("must be http://, https://, grpc:// or grpcs:// URLs, separated by commas")
        if is_grpc(url.strip()) and ("@" in parts.netloc or parts.path.strip("/")):
            raise ValueError("must have only a host and a port behind grpc://")
        if "#" in url:
            raise ValueError("must have no #")
    return value


def _split(url: str) -> SplitResult:
    """Split a URL. Its password may hold what ends a host: then half of it would be taken for a port, and shown."""
    try:
        parts = urlsplit(url)
        rest = parts.path + parts.query + parts.fragment
        servers = parts.netloc.rpartition("@")[2].split(",")
        has_ports = all((SplitResult("", server, "", "", "").port or 0) >= 0 for server in servers)
        is_whole = has_ports and (parts.scheme == "unix" or "@" not in rest)
    except ValueError:  # its message has a piece of the URL
        is_whole = False
    if not is_whole:
        raise ValueError("must have a port from 0 to 65535 or none, and in a password / ? # @ as %2F %3F %23 %40")
    return parts


def without_credentials(url: str) -> str:
    """Return a URL that may be shown."""
    parts = _split(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def servers_of(inference_url: str) -> tuple[str, ...]:
    """Return the base URLs of a comma list, without trailing slashes; a query follows the path.

    Other programs want the URL of the route, or of OpenAI's API: there its server is meant. `http://host/embed/` is a server below
    `/embed`.
    """
    return tuple(_server_of(url.strip()) for url in inference_url.split(","))


def _server_of(url: str) -> str:
    parts = _split(url)
    path = parts.path.removesuffix(EMBED).rstrip("/").removesuffix("/embeddings").removesuffix("/v1").rstrip("/")
    return parts._replace(path=path).geturl()


def level_of(directives: str) -> str:
    """Return the level that RUST_LOG's list names: `warn`, or in `info,hyper=warn` the one without a target."""
    first = min(directives.lower().split(","), key=lambda each: "=" in each)
    level = first.rpartition("=")[2].strip()
    return RUST_LEVELS.get(level, level)


#: The variable with the hashed key with which `autobatch up` asks its own workers: not of API_KEYS, which they read again themselves.
UP_KEY = "AUTOBATCH_UP_KEY"


_is_hash = re.compile(r"sha256:[0-9a-fA-F]{64}").fullmatch


def fault_of_keys(keys: Iterable[str]) -> str:
    """Return what is wrong with API keys, without any of them; empty: nothing is."""
    if any(key.startswith("sha256:") and not _is_hash(key) for key in keys):
        return "after `sha256:` come the 64 hex digits of a key's SHA-256"
    return ""


def _api_keys(value: SecretStr) -> SecretStr:
    keys = _listed(value.get_secret_value())
    if not keys:
        raise ValueError("must hold a key, or not be set: all may ask then")
    if fault := fault_of_keys(keys):
        raise ValueError(fault)
    return value


def _file(value: str) -> str:
    if not value:
        raise ValueError("must name a file, or not be set")
    return value


def _upstream_key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value().strip()  # a file, or a Secret of Kubernetes, often ends in a line break
    if not key.isprintable():
        raise ValueError("has a character that no header can have, such as a line break")
    return SecretStr(key)


def _inference_headers(value: SecretStr) -> SecretStr:
    headers_in(value.get_secret_value())
    return value


def _model_name(value: str) -> str:
    if fault := fault_of(value):
        raise ValueError(fault)
    return value


def _pairs(value: str) -> str:
    if any(not all(each.partition("=")[::2]) for each in _listed(value)):
        raise ValueError("must be a comma list of `type=prompt`")
    return value


def _listed(value: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in value.split(",") if each.strip())


class CommonSettings(BaseSettings):
    """What every server process reads.

    Attributes:
        reloaded: The settings that SIGHUP changes without losing a request; the others need a restart.
    """

    reloaded: ClassVar[frozenset[str]] = frozenset()

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("must not be true or false")
        return value

    log_level: LogLevel = Field("info", validation_alias=_names("log_level"), description="how much is logged")
    log_format: Literal["json", "text"] = Field(
        "json", description="`json`: one object per line; `text`: for a terminal"
    )
    payload_limit: int = Field(
        2_000_000,
        ge=1_000,
        le=500_000_000,
        description="bytes in one request body, and in one upstream call, as in TEI",
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _as_rust_log(cls, value: object) -> object:
        return level_of(value) if isinstance(value, str) else value


class QueueSettings(CommonSettings):
    """What the two ends of the queue must agree on."""

    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="also `rediss://` (TLS; `?ssl_ca_certs=FILE`) and `unix://`; `redis+sentinel://host1:26379,host2/service` "
        "and `redis+cluster://host1:6379,host2`, or `rediss+...`; Redis or Valkey, 7.0 or newer",
    )
    namespace: str = Field(
        "autobatch",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="key prefix: one deployment; one queue for each of its models",
    )
    max_batch_size: int = Field(
        32, ge=1, le=1000, description="inputs in one upstream call; lowered to what `/info` allows"
    )
    answer_limit: int = Field(
        100_000_000,
        ge=1_000,
        le=2_000_000_000,
        description="bytes in one answer of the upstream; a larger one is not read, and its clients get 502; also in an answer to "
        "`/embed_all`, with 413",
    )
    model_aliases: str = Field(
        "",
        description="a comma list of further names of the model, which MODEL_CHECK=served takes and `GET /v1/models/NAME` finds; "
        "with SERVED_MODEL_NAME of that one, else of the unnamed one",
    )

    tokenizer_file: str | None = Field(
        None,
        description="the model's `tokenizer.json`, by which inputs are measured and counted in tokens; unset: in characters. "
        "`triton`: batchers make token ids of texts by it, where the model takes nothing else",
    )

    @property
    def aliases(self) -> tuple[str, ...]:
        """The model's further names."""
        return _listed(self.model_aliases)


class ProxySettings(QueueSettings):
    """`autobatch proxy`."""

    host: str = Field("0.0.0.0", validation_alias=_names("host"), description="address that the workers listen on")
    port: int = Field(3000, ge=1, le=65535, description="port that the workers listen on")
    uds_path: str | None = Field(None, description="unix socket to listen on instead of HOST and PORT")
    web_concurrency: int | None = Field(None, ge=1, le=256, description="worker processes; unset: one per core")
    max_queue_size: int = Field(
        10_000,
        ge=1,
        le=10_000_000,
        description="inputs waiting before new ones get 429; a job weighs at least one for each 8 kB, so "
        "that this bounds the bytes in Redis too: 80 MB a queue by default",
    )
    max_bodies_mb: int = Field(
        64,
        ge=1,
        le=100_000,
        description="megabytes of request bodies that one worker holds before new ones get 429; it needs up to seven "
        "times as much memory for them",
    )
    max_client_batch_size: int = Field(2048, ge=1, le=100_000, description="inputs in one request")
    bulk_above_inputs: int = Field(
        64,
        ge=1,
        le=100_000,
        description="requests with more inputs than this use only spare capacity, as do those with `x-priority: bulk`",
    )
    embed_answer: Literal["tei", "embeddings"] = Field(
        "tei",
        description='what `POST /embed` answers to `{"inputs": ...}`: `tei`: the array of vectors, as TEI; `embeddings`: '
        '`{"embeddings": [...]}` around it, as another published proxy does; its clients accept nothing else',
    )
    model_check: Literal["off", "served"] = Field(
        "off",
        description="which `model` the routes take whose clients name one, such as OpenAI's: `off`: any, as TEI; `served`: the served "
        "model's name, its part after the last `/`, and MODEL_ALIASES; another one is 404",
    )
    input_type_prompts: Annotated[str, AfterValidator(_pairs)] = Field(
        "",
        description="what Cohere's `input_type` means for the model: a comma list such as `search_query=query,search_document=passage`, "
        "an input type and the name of its prompt each; other types are refused; unset: all are taken, without a prompt",
    )
    openai_token_ids: Literal["refuse", "model", "cl100k"] = Field(
        "refuse",
        description="whose token ids `input` of the OpenAI routes may have: `refuse`: none, 400; `model`: the upstream "
        "model's own; `cl100k`: OpenAI's, as langchain-openai sends them, which are decoded to text",
    )
    cl100k_file: str | None = Field(
        None,
        description="a `cl100k_base.tiktoken`, for OPENAI_TOKEN_IDS=cl100k; tiktoken fetches it and keeps it in TIKTOKEN_CACHE_DIR",
    )
    request_timeout_ms: int = Field(
        30_000,
        ge=10,
        le=600_000,
        description="deadline of a request; a client may lower it with `x-request-timeout-ms`",
    )
    slow_ms: int = Field(
        10_000,
        ge=0,
        le=600_000,
        description="a request that takes longer has a line in the log that says where the time went, ten a second at most; 0: none",
    )
    stop_delay_ms: int = Field(
        0,
        ge=0,
        le=600_000,
        description="after SIGTERM, the time during which workers still accept requests while `/ready` is 503, so that "
        "a load balancer forgets them first",
    )
    api_keys: Annotated[SecretStr, AfterValidator(_api_keys)] | None = Field(
        None,
        validation_alias=_names("api_keys"),
        description="a comma list; with it every request but health checks, metrics and the API's document needs "
        "`Authorization: Bearer` and one of the keys, as in TEI; each plain, or `sha256:` and the hex digits of its SHA-256",
    )
    api_keys_file: Annotated[str, AfterValidator(_file)] | None = Field(
        None, description="a file of further keys, one per line; read again when it changes"
    )
    cors_allow_origin: str = Field(
        "*", description="a comma list of the origins whose pages may read answers; `*`: all, as in TEI"
    )
    cache_ttl_s: int = Field(
        0,
        ge=0,
        le=31_536_000,
        description="seconds that a text's vector is kept in Redis and reused; 0: not at all",
    )
    cache_max_mb: int = Field(
        256, ge=1, le=1_000_000, description="megabytes of Redis for those vectors; the oldest make room"
    )

    @property
    def keys(self) -> tuple[str, ...]:
        """The API keys; none: every client may ask."""
        return _listed(self.api_keys.get_secret_value() if self.api_keys else "")

    @property
    def prompts(self) -> dict[str, str]:
        """The name of the prompt for each input type."""
        pairs = [each.partition("=") for each in _listed(self.input_type_prompts)]
        return {kind.strip(): prompt.strip() for kind, _, prompt in pairs}

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """Whose pages may read answers."""
        return _listed(self.cors_allow_origin)


class BatcherSettings(QueueSettings):
    """`autobatch batcher`."""

    served_model_name: Annotated[str, AfterValidator(_model_name)] | None = Field(
        None,
        description="the name under which workers offer this batcher's model beside others: a request chooses it by its path "
        "`/NAME/embed`, the header `x-model`, or `model` in its body; as a flag also `--model`; unset: the one unnamed model",
    )
    model_is_default: bool = Field(
        False, description="requests that name no model are for this one; without any, they are for the only one"
    )
    max_wait_time_ms: int = Field(
        10,
        ge=0,
        le=10_000,
        validation_alias=_names("max_wait_time_ms"),
        description="the longest wait for companions, from the oldest arrival",
    )
    batch_policy: PolicyName = Field("adaptive", description=described(POLICIES))
    target_p99_ms: int | None = Field(
        None,
        ge=5,
        le=600_000,
        description="milliseconds from arrival to answer that 99 of 100 requests should not exceed: calls are made small enough "
        "for that, and what cannot be answered in time gets 429; unset: all are answered, however late. Not for bulk requests; "
        "instead of BATCH_POLICY",
    )
    max_batch_tokens: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="tokens in one upstream call, padding included where the upstream pads; an input that alone has more is sent "
        "alone; lowered to what `/info` says, which is 16384 for TEI by default. Estimated as four characters each, unless the "
        "workers count them (TOKENIZER_FILE)",
    )
    batch_shape: Literal["auto", "fifo"] = Field(
        "auto",
        description="`auto`: like lengths together, calls as many and as large as pays; `fifo`: by arrival, as configured",
    )
    inference_url: Annotated[str, NoDecode, AfterValidator(_upstream_urls)] = Field(
        "http://127.0.0.1:8080",
        validation_alias=_names("inference_url"),
        repr=False,  # it may hold a password
        description="the upstream; a comma list is a list of replicas; `/embed`, `/v1` and `/v1/embeddings` at its end are removed, "
        "and what follows `?` is sent with every call",
    )
    upstream_grpc_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        validation_alias=_names("upstream_grpc_port"),
        description="the upstreams are called over gRPC, at this port of the hosts of INFERENCE_URL; unset: as their URLs say, `grpc://`",
    )
    inference_dialect: DialectName = Field(
        AUTO, description=f"the API that the upstream speaks: `{AUTO}`: it is asked; {described(DIALECTS)}"
    )
    upstream_model: str | None = Field(
        None,
        validation_alias=_names("upstream_model"),
        description="the model to ask an upstream for that has several; unset: the one that it lists under "
        "SERVED_MODEL_NAME or one of MODEL_ALIASES; without a name the first that it lists, for as long as it lists it",
    )
    upstream_model_version: str = Field(
        "",
        validation_alias=_names("upstream_model_version"),
        description="`triton`: the version of UPSTREAM_MODEL; unset: the server chooses",
    )
    upstream_input: str = Field(
        "",
        validation_alias=_names("upstream_input"),
        description="`triton`: the name of the input, or a comma list such as `input_ids,attention_mask`; unset: all that the model has",
    )
    upstream_output: str = Field(
        "",
        validation_alias=_names("upstream_output"),
        description="`triton`: the name of the output with the vectors; unset: the only one of floats that the model has",
    )
    upstream_dimension: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        validation_alias=_names("upstream_dimension"),
        description="`triton`: components that each vector must have; unset: as many as the upstream's first one",
    )
    upstream_tokens_max: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="`triton`: tokens of an input that a model of token ids takes; longer texts are cut, or refused if they say "
        "`truncate: false`; unset: as many as its inputs have room for, or any number",
    )
    inference_api_key: SecretStr | None = Field(
        None, validation_alias=_names("inference_api_key"), description="sent to the upstream as a bearer token"
    )
    inference_headers: Annotated[SecretStr, AfterValidator(_inference_headers)] | None = Field(
        None,
        description="a comma list of `name=value`: headers for the upstream, such as `api-key=...`; a comma in a value is `%2C`",
    )
    inference_ca_file: Annotated[str, AfterValidator(_file)] | None = Field(
        None,
        description="a PEM file of further authorities whose certificates an upstream may have; read again for a new connection once it has changed",
    )
    max_concurrent_batches: int | None = Field(
        None,
        ge=1,
        le=256,
        validation_alias=_names("max_concurrent_batches"),
        description="the most calls in flight per upstream; without it two, and up to 32 where `BATCH_SHAPE=auto` finds that they "
        "do more",
    )
    upstream_rpm: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="calls that the upstream takes in a minute, from all batchers together; more wait, and what could not be answered "
        "in time gets 429; unset: as many as it takes",
    )
    upstream_tpm: int | None = Field(
        None,
        ge=1,
        le=10_000_000_000,
        description="tokens that the upstream takes in a minute, in the same way; guessed before a call by its inputs and bytes, "
        "and made good by what the upstream counts",
    )
    upstream_timeout_ms: int = Field(
        30_000, ge=10, le=600_000, description="the longest that one upstream call may take"
    )
    upstream_attempts: int = Field(
        3, ge=1, le=10, description="attempts for a call that fails because of an outage, the first included"
    )
    model_change_after_ms: int = Field(
        30_000,
        ge=10_000,
        le=86_400_000,
        description="how long an upstream that is down still counts for the model that it served: only when none counts for "
        "it any more does the namespace change to another model; and how long after that a batcher waits which never had one of it",
    )
    upstream_patience_ms: int = Field(
        10_000,
        ge=0,
        le=600_000,
        description="how long requests wait, within their deadlines, for an upstream that cannot be reached or fails; after that "
        "they get 503 at once until it is back. For one that takes calls and does not answer they wait until their deadlines",
    )
    lease_ms: int = Field(
        2_000, ge=100, le=600_000, description="a batcher silent for longer than this loses its jobs to the others"
    )
    drain_timeout_ms: int = Field(
        20_000, ge=0, le=600_000, description="after SIGTERM, the time to finish what was claimed"
    )
    batcher_host: str = Field("0.0.0.0", description="address of the batcher's own `/health` and `/metrics`")
    batcher_port: int = Field(
        13000, ge=0, le=65535, description="port of the batcher's own `/health` and `/metrics`; 0: any free one"
    )

    @field_validator("inference_api_key")
    @classmethod
    def _one_way_in(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and "@" in info.data.get("inference_url", ""):
            raise ValueError("cannot be sent beside the user and password of INFERENCE_URL")
        return value and _upstream_key(value)

    @field_serializer("inference_url")
    def _without_passwords(self, value: str) -> str:
        return ",".join(without_credentials(url.strip()) for url in value.split(","))

    @field_validator("inference_dialect")
    @classmethod
    def _as_its_urls(cls, value: str, info: ValidationInfo) -> str:
        urls = servers_of(info.data.get("inference_url", ""))
        grpc_urls = urls if info.data.get("upstream_grpc_port") else tuple(filter(is_grpc, urls))
        if value in OVER_GRPC and grpc_urls != urls:
            raise ValueError("needs grpc:// URLs in INFERENCE_URL, or UPSTREAM_GRPC_PORT")
        if value in OVER_HTTP and grpc_urls:
            raise ValueError("needs http:// or https:// URLs in INFERENCE_URL, and no UPSTREAM_GRPC_PORT")
        return value

    @property
    def upstream_inputs(self) -> tuple[str, ...]:
        """The names of UPSTREAM_INPUT."""
        return _listed(self.upstream_input)

    @property
    def names(self) -> tuple[str, ...]:
        """What clients call the model, its name first; empty: it is the unnamed one."""
        return (self.served_model_name, *self.aliases) if self.served_model_name else ()

    @property
    def inference_urls(self) -> tuple[str, ...]:
        """The replicas, without trailing slashes."""
        urls = servers_of(self.inference_url)
        return (
            urls if self.upstream_grpc_port is None else tuple(over_grpc(url, self.upstream_grpc_port) for url in urls)
        )

    @property
    def upstream_headers(self) -> Mapping[str, str]:
        """The headers that an upstream is sent with every question."""
        key, listed = (
            None if each is None else each.get_secret_value()
            for each in (self.inference_api_key, self.inference_headers)
        )
        return upstream_headers(key, listed)


#: Workers are replaced, and the new ones read all but where the processes meet: a request must not end up where no process looks.
ProxySettings.reloaded = frozenset(ProxySettings.model_fields) - {"host", "port", "uds_path", "redis_url", "namespace"}
#: A batcher goes on with what it holds, so these are the ones that it looks at anew for each call.
BatcherSettings.reloaded = frozenset(
    {
        "log_level",
        "log_format",
        "payload_limit",
        "max_batch_size",
        "max_wait_time_ms",
        "batch_policy",
        "target_p99_ms",
        "max_batch_tokens",
        "max_concurrent_batches",
        "upstream_timeout_ms",
        "upstream_attempts",
        "upstream_patience_ms",
        "drain_timeout_ms",
    }
)


class EmbedderSettings(CommonSettings):
    """`autobatch embedder`."""

    embedder_host: str = Field("127.0.0.1", description="address that the embedder listens on")
    embedder_port: int = Field(8080, ge=0, le=65535, description="port that the embedder listens on; 0: any free one")
    embedder_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="threads of a forward pass that runs alone; unset, and EMBEDDER_WORKERS too: what a measurement at the first start found best",
    )
    embedder_workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="forward passes of one call at the same time; unset: as many as EMBEDDER_THREADS, or as measured",
    )
    embedder_quantize: Quantization | None = Field(
        None, description="compute products in `int8`, faster and less exact; unset: all in float32"
    )
    embedder_model_dir: str | None = Field(
        None,
        description="folder of a model with `config.json`, `tokenizer.json` and weights; unset: the packaged MiniLM",
    )
    embedder_model_id: str | None = Field(
        None,
        description="model of the Hugging Face hub, or of its cache on this machine, such as `BAAI/bge-small-en-v1.5`",
    )
    embedder_model_revision: str | None = Field(
        None, description="branch, tag or commit of EMBEDDER_MODEL_ID; unset: `main`"
    )
    embedder_pooling: Literal["mean", "cls", "max", "last-token", "weighted-mean", "splade"] | None = Field(
        None, description="how the vectors of tokens become one; unset: as the model's own files say"
    )
    embedder_cache_dir: str | None = Field(
        None,
        description="where the ONNX graph and what was measured are kept; unset: `autobatch` in the user's cache folder",
    )
    embedder_max_client_batch_size: int = Field(32, ge=1, le=100_000, description="inputs in one call, as in TEI")
    embedder_max_concurrent_requests: int = Field(
        512, ge=1, le=100_000, description="inputs in flight before 429, as in TEI"
    )
    embedder_join_requests: bool = Field(
        True,
        description="compute requests that wait at the same time together, as TEI does; false: one after the other",
    )
    embedder_auto_truncate: bool = Field(True, description="cut texts longer than the model takes, as in TEI")
    embedder_api_key: SecretStr | None = Field(
        None,
        description="bearer token that the embedder's clients must send, as in TEI; the batcher's is INFERENCE_API_KEY",
    )


PROCESSES: dict[str, type[CommonSettings]] = {
    "proxy": ProxySettings,
    "batcher": BatcherSettings,
    "embedder": EmbedderSettings,
}
