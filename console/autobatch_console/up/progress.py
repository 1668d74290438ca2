"""What `autobatch up` prints: what was started, when it is ready, what to try, where to look."""

import contextlib
import shlex
import time
from collections.abc import Mapping, Sequence

from autobatch_console.supervising.first_vector import Offering
from autobatch_console.up.parts import Part, Stage
from autobatch_console.up.run_folder import RunFolder
from autobatch_console.up.settings import UpSettings
from autobatch_console.up.start_plan import is_loopback, reachable
from autobatch_shared.contract.keys import Keys

NAMESPACE = UpSettings.model_fields["namespace"].default
TRY_BODY = '{"inputs":"hello world"}'
KEY_HELP = "one of API_KEYS or API_KEYS_FILE, as it was before it was hashed"
CLOSE_HELP = "API_KEYS asks for a key, HOST=127.0.0.1 is for this machine only"


class ProgressReport:
    """Lines on standard output, each as soon as it is true."""

    def __init__(self, settings: UpSettings, models: Sequence[UpSettings], origins: Sequence[str]) -> None:
        self._settings = settings
        self._models = models
        self._origins = origins
        self._started_mono_s = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line at once. A terminal that was closed is no reason to stop."""
        with contextlib.suppress(OSError):
            print(line, flush=True)

    def event(self, line: str) -> None:
        """Print a line with the time of day: something changed."""
        self.say(f"{time.strftime('%H:%M:%S')} {line}")

    def started(self, part: Part, pid: int) -> None:
        """Report that a part is ready."""
        self.say(f"  {part.name:10} {part.version:9} pid {pid:<8} {part.address}")

    def waiting(self, stage: Stage, left_s: float) -> None:
        """Report which parts are still starting."""
        self.say(f"  ... waiting for {', '.join(part.name for part in stage)}, for at most {left_s:.0f} s")

    def waits_for(self, reason: str) -> None:
        """Report what is not as it should be yet."""
        self.say(f"  ... {reason}")

    def ready(
        self, served: Mapping[str, Offering], parts: tuple[Part, ...], folder: RunFolder, *, verbose: bool
    ) -> None:
        """Report that everything is ready, what each model offers by its name, and what to do with it."""
        host = reachable(self._settings.host)
        host = {"127.0.0.1": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
        public = f"{host}:{self._settings.port}"
        took_s = time.monotonic() - self._started_mono_s
        has_keys = bool(self._settings.keys or self._settings.api_keys_file)
        bearer = ' -H "authorization: Bearer $KEY"' if has_keys else ""
        lines = [
            f"ready after {took_s:.1f} s: http://{public}",
            *(
                f"  serves   {name}: {offering}" if name else f"  serves   {offering}"
                for name, offering in served.items()
            ),
            *([f"  set      {', '.join(self._origins)}"] if self._origins else []),
            "",
            *([f"  KEY=...  # {KEY_HELP}"] if has_keys else []),
            f"  curl -s {public}{self._default_path()}/embed -H 'content-type: application/json'{bearer} -d {shlex.quote(TRY_BODY)}",
            "",
        ]
        if not has_keys and not is_loopback(self._settings.host):
            lines.append(f"  open     to all who reach {self._settings.host}:{self._settings.port}; {CLOSE_HELP}")
        by_name = {part.name: part for part in parts}
        redis = by_name.get("redis")
        lines.append(f"  watch    http://{public}/dashboard  {self._top(redis)}")
        if redis is not None:
            for name in served:
                queue = shlex.quote(Keys(self._settings.namespace, name).jobs)
                lines.append(f"  queue    redis-cli -s {redis.address} LRANGE {queue} 0 -1")
        lines.append(f"  metrics  http://{public}/metrics  {by_name['batcher'].address}/metrics")
        lines.append(f"  status   http://{public}/status")
        if not verbose:
            lines.append(f"  logs     {folder.path}/*.log")
        lines.append("  stop     Ctrl-C")
        self.say("\n".join(lines))

    def _top(self, redis: Part | None) -> str:
        """The command that watches this fleet; with a Redis of its own, `redis`, no other settings name it."""
        at = "" if redis is None else f" --redis-url unix://{redis.address}"
        namespace = self._settings.namespace
        return f"autobatch top{at}{'' if namespace == NAMESPACE else f' --namespace {shlex.quote(namespace)}'}"

    def _default_path(self) -> str:
        """What a route begins with in the printed call: nothing, where a request need not name its model."""
        if len(self._models) == 1 or any(model.model_is_default for model in self._models):
            return ""
        return f"/{self._models[0].served_model_name}"
