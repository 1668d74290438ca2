"""What `autobatch up` and `autobatch doctor` look at before a start, for the settings of `up`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import aiohttp

from autobatch_console.preflight.diagnoses import Diagnosis, faults_of, warnings_of
from autobatch_console.preflight.inquiry import QueueOf, ask_redis, ask_upstreams
from autobatch_console.preflight.machine_diagnoses import look_at_files, look_at_port, look_at_side_port
from autobatch_console.preflight.upstreams.upstream_inquiry import UpstreamAccess
from autobatch_console.preflight.upstreams.upstream_seen import API_KEY
from autobatch_console.up import programs
from autobatch_console.up.settings import UpSettings, needs_embedder
from autobatch_shared.install_hints import missing_for_embedder
from autobatch_shared.settings.definitions import CommonSettings
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import trusting

LOOK_EVERY_S = 2.0  # at the servers that are waited for
ANSWER_S = 1.0  # of the batcher, which is on this machine
UNHEALTHY = 503
FILES, FILES_OF_MODELS = ("api_keys_file", "cl100k_file"), ("tokenizer_file", "inference_ca_file")


async def look_around(settings: UpSettings, models: Sequence[UpSettings]) -> list[Diagnosis]:
    """Return the diagnoses of what the settings name: files, Redis, and the upstreams of each model."""
    named = {model.served_model_name or "": model for model in models}
    return [*look_at_named_files(settings, named), *await look_at_servers(settings, models)]


def look_at_named_files(settings: CommonSettings, models: Mapping[str, CommonSettings]) -> list[Diagnosis]:
    """Return the diagnoses of the files that the settings of a process name, and those of each model, by its name."""
    files = {name.upper(): getattr(settings, name, None) for name in FILES + FILES_OF_MODELS}
    files |= {
        _of(name.upper(), model): getattr(own, name, None) for model, own in models.items() for name in FILES_OF_MODELS
    }
    return look_at_files(files)


class WaitedFor:
    """Names what is wrong with Redis and the upstreams during a start, each time that it changes.

    Attributes:
        reasons: What was wrong when it looked last.

    Args:
        settings: Those that the models share.
        models: Those of each model.
        said: What was said of them already.
        batcher_url: The address of the batcher, which knows what it waits for where all that is asked here is right.
        look_every_s: Seconds between two looks.
    """

    def __init__(
        self,
        settings: UpSettings,
        models: Sequence[UpSettings],
        said: Sequence[str],
        batcher_url: str,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.reasons = sorted(set(said))
        self._settings = settings
        self._models = models
        self._batcher_url = batcher_url
        self._look_every_s = look_every_s

    async def name_changes(self, say: Callable[[str], None]) -> None:
        """Look every few seconds, until cancelled."""
        while self._settings.redis_url.get_secret_value() or any(model.inference_url for model in self._models):
            await asyncio.sleep(self._look_every_s)
            diagnoses, waiting = await asyncio.gather(
                look_at_servers(self._settings, self._models), waits_of_batcher(self._batcher_url)
            )
            named = {*faults_of(diagnoses), *warnings_of(diagnoses)}
            unnamed = {wait for url, wait in waiting.items() if not any(url in reason for reason in named)}
            before, self.reasons = self.reasons, sorted(named | unnamed)
            for reason in self.reasons:
                if reason not in before:
                    say(reason)


async def waits_of_batcher(url: str) -> dict[str, str]:
    """Return the upstreams that a batcher waits for, with a sentence each; none where it does not say."""
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/health") as response:
            said = await response.json(content_type=None) if response.status == UNHEALTHY else {}
        return {name: f"batcher: waits for {name}: {why}" for name, why in said["waits_for"].items()}
    except (aiohttp.ClientError, OSError, ValueError, LookupError, AttributeError, TypeError):
        return {}


async def look_at_servers(settings: UpSettings, models: Sequence[UpSettings]) -> list[Diagnosis]:
    """Return the diagnoses of what REDIS_URL names and each model's INFERENCE_URL; none of one that is not set."""
    values = {"PAYLOAD_LIMIT": settings.payload_limit, "ANSWER_LIMIT": settings.answer_limit}
    of_redis, *of_models = await asyncio.gather(
        ask_redis(settings.redis_url.get_secret_value(), settings.namespace, values), *map(_look_at_upstreams, models)
    )
    return [*of_redis, *(diagnosis for each in of_models for diagnosis in each)]


async def _look_at_upstreams(model: UpSettings) -> list[Diagnosis]:
    if not model.inference_url:
        return []
    try:
        trust = trusting(model.inference_ca_file)
    except SettingsError:
        trust = None  # which has a diagnosis of its own
    is_by_headers = model.inference_headers is not None and model.inference_api_key is None
    key_setting = "INFERENCE_HEADERS" if is_by_headers else API_KEY
    access = UpstreamAccess(model.upstream_headers, trust, model.upstream_model, model.names, key_setting)
    queue = QueueOf(model.redis_url.get_secret_value(), model.namespace, model.served_model_name or "")
    diagnoses = await ask_upstreams(model.inference_urls, access, queue)
    return [replace(diagnosis, setting=_of(diagnosis.setting, model.served_model_name)) for diagnosis in diagnoses]


def _of(setting: str, model: str | None) -> str:
    """A setting of one model, as its diagnosis names it."""
    return f"{setting} of {model}" if model else setting


def look_at_machine(settings: UpSettings, models: Sequence[UpSettings]) -> list[Diagnosis]:
    """Return the diagnoses of what `up` needs from this machine: its port, and the programs that it starts."""
    taken = {settings.port: "PORT"}
    if needs_embedder(models):
        taken.setdefault(settings.embedder_port, "EMBEDDER_PORT")
    diagnoses = [
        look_at_port(settings.host, settings.port),
        look_at_side_port(settings.batcher_host, settings.batcher_port, taken),
    ]
    if settings.uds_path:
        diagnoses.append(Diagnosis("wrong", "UDS_PATH", "`autobatch up` gives each worker its own", "leave it unset"))
    try:
        program = redis_to_start(settings, models, programs.search_path())
    except programs.NotFoundError as error:
        diagnoses.append(Diagnosis("wrong", "", str(error)))
    else:
        if program is not None:
            diagnoses.append(Diagnosis("right", "REDIS_URL", f"not set: {program.name} {program.version} is started"))
        diagnoses += [
            Diagnosis("right", _of("INFERENCE_URL", model.served_model_name), "not set: the embedder is started")
            for model in models
            if not model.inference_url
        ]
    return diagnoses


def redis_to_start(settings: UpSettings, models: Sequence[UpSettings], path: str) -> programs.Program | None:
    """Return the Redis to start, if the settings name none.

    Raises:
        NotFoundError: Names everything that is missing on this machine, including the embedder's packages.
    """
    redis, missing = None, []
    try:
        redis = None if settings.redis_url.get_secret_value() else programs.find_redis(path)
    except programs.NotFoundError as error:
        missing.append(str(error))
    if needs_embedder(models) and (
        sentence := missing_for_embedder(settings.embedder_model_dir, model_id=settings.embedder_model_id)
    ):
        missing.append(sentence)
    if missing:
        raise programs.NotFoundError("\n".join(missing))
    return redis
