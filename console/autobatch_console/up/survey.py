"""What `autobatch up` and `autobatch doctor` look at before a start, for the settings of `up`."""

import asyncio
from collections.abc import Callable, Sequence

from autobatch_console.preflight.diagnoses import Diagnosis, faults_of, warnings_of
from autobatch_console.preflight.inquiry import ask_everything
from autobatch_console.preflight.machine_diagnoses import look_at_files, look_at_port, look_at_side_port
from autobatch_console.preflight.upstream_inquiry import UpstreamAccess
from autobatch_console.up import programs
from autobatch_console.up.settings import UpSettings
from autobatch_shared.install_hints import missing_for_embedder
from autobatch_shared.settings.certificates import trusting
from autobatch_shared.settings.loading import SettingsError

LOOK_EVERY_S = 2.0  # at the servers that are waited for
FILES = ("api_keys_file", "tokenizer_file", "cl100k_file", "inference_ca_file")


async def look_around(settings: UpSettings) -> list[Diagnosis]:
    """Return the diagnoses of what the settings name: files, Redis, upstreams."""
    files = look_at_files({name.upper(): getattr(settings, name) for name in FILES})
    return [*files, *await look_at_servers(settings)]


class WaitedFor:
    """Names what is wrong with Redis and the upstreams during a start, each time that it changes.

    Attributes:
        reasons: What was wrong when it looked last.

    Args:
        said: What was said of them already.
        look_every_s: Seconds between two looks.
    """

    def __init__(self, settings: UpSettings, said: Sequence[str], look_every_s: float = LOOK_EVERY_S) -> None:
        self.reasons = sorted(set(said))
        self._settings = settings
        self._look_every_s = look_every_s

    async def name_changes(self, say: Callable[[str], None]) -> None:
        """Look every few seconds, until cancelled."""
        while self._settings.redis_url.get_secret_value() or self._settings.inference_url:
            await asyncio.sleep(self._look_every_s)
            diagnoses = await look_at_servers(self._settings)
            before, self.reasons = self.reasons, sorted({*faults_of(diagnoses), *warnings_of(diagnoses)})
            for reason in self.reasons:
                if reason not in before:
                    say(reason)


async def look_at_servers(settings: UpSettings) -> list[Diagnosis]:
    """Return the diagnoses of what REDIS_URL and INFERENCE_URL name; none of one that is not set."""
    upstreams = settings.inference_urls if settings.inference_url else ()
    try:
        trust = trusting(settings.inference_ca_file)
    except SettingsError:
        trust = None  # which has a diagnosis of its own
    access = UpstreamAccess(settings.upstream_headers, trust, settings.upstream_model)
    values = {"PAYLOAD_LIMIT": settings.payload_limit, "ANSWER_LIMIT": settings.answer_limit}
    return await ask_everything(settings.redis_url.get_secret_value(), settings.namespace, values, upstreams, access)


def look_at_machine(settings: UpSettings) -> list[Diagnosis]:
    """Return the diagnoses of what `up` needs from this machine: its port, and the programs that it starts."""
    taken = {settings.port: "PORT"}
    if not settings.inference_url:
        taken.setdefault(settings.embedder_port, "EMBEDDER_PORT")
    diagnoses = [
        look_at_port(settings.host, settings.port),
        look_at_side_port(settings.batcher_host, settings.batcher_port, taken),
    ]
    if settings.uds_path:
        diagnoses.append(Diagnosis("wrong", "UDS_PATH", "`autobatch up` gives each worker its own", "leave it unset"))
    try:
        program = redis_to_start(settings, programs.search_path())
    except programs.NotFoundError as error:
        diagnoses.append(Diagnosis("wrong", "", str(error)))
    else:
        if program is not None:
            diagnoses.append(Diagnosis("right", "REDIS_URL", f"not set: {program.name} {program.version} is started"))
        if not settings.inference_url:
            diagnoses.append(Diagnosis("right", "INFERENCE_URL", "not set: the embedder is started"))
    return diagnoses


def redis_to_start(settings: UpSettings, path: str) -> programs.Program | None:
    """Return the Redis to start, if the settings name none.

    Raises:
        NotFoundError: Names everything that is missing on this machine, including the embedder's packages.
    """
    redis, missing = None, []
    try:
        redis = None if settings.redis_url.get_secret_value() else programs.find_redis(path)
    except programs.NotFoundError as error:
        missing.append(str(error))
    if not settings.inference_url and (sentence := missing_for_embedder(settings.embedder_model_dir)):
        missing.append(sentence)
    if missing:
        raise programs.NotFoundError("\n".join(missing))
    return redis
