"""Decide what `autobatch up` runs. Pure: it takes the settings and what was found on the machine, and returns the plan.

Parts are ready in the order in which they need each other: Redis, embedder, batcher, workers, nginx. The batcher and the workers start
with Redis, which is there before either has imported what it needs, the longest step of all; with an embedder after that, whose start
takes both cores. A part is not started if the settings name another one. Each worker is a process of its own with its own unix socket,
so that nginx counts the requests of each.
"""

import hashlib
import ipaddress
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autobatch_console.up.parts import Part, Ready, StartPlan
from autobatch_console.up.programs import Program
from autobatch_console.up.settings import UpSettings, needs_embedder
from autobatch_shared.settings.definitions import UP_KEY, servers_of, without_credentials
from autobatch_shared.settings.files.model_tables import MODEL_SETTINGS

STOP_SPARE_S = 5.0  # added to the part's own grace period
SOCKET_PATH_BYTES_MAX = 100  # the kernel's limit is 107 on Linux, 103 on macOS


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found on the machine and chosen before planning."""

    run_dir: Path
    redis: Program | None  # None: REDIS_URL is used
    nginx: Program | None  # with its whole command line; None: gunicorn serves the public port itself
    workers: int
    embedder_port: int
    batcher_port: int
    own_key: str | None = None  # with which `up` itself asks, where keys are asked for; the workers get its digest


def redis_socket(run_dir: Path) -> Path:
    """Return the socket of the Redis that `up` starts."""
    return run_dir / "redis.sock"


def worker_sockets(run_dir: Path, workers: int) -> tuple[Path, ...]:
    """Return the sockets of the workers behind nginx, one each."""
    return tuple(run_dir / f"proxy-{number}.sock" for number in range(1, workers + 1))


def metrics_folder(run_dir: Path) -> Path:
    """Return the folder of the workers' counters."""
    return run_dir / "metrics"


def make_plan(
    settings: UpSettings, models: Sequence[UpSettings], flags: Mapping[str, str], machine: Machine
) -> StartPlan:
    """Return what to start, in order.

    Args:
        settings: Those that the models share.
        models: Those of each model; one batcher serves all of them.
        flags: Added to every environment; the plan's own addresses override them.
        machine: What was found.
    """
    redis_url = f"unix://{redis_socket(machine.run_dir)}" if machine.redis else settings.redis_url.get_secret_value()
    has_embedder = needs_embedder(models)
    env = {**flags, "REDIS_URL": redis_url}
    notes = []
    if machine.redis is None:
        notes.append(f"redis: {without_credentials(redis_url)} (REDIS_URL)")
    notes += [_upstreams_note(model) for model in models if model.inference_url]
    if has_embedder and settings.embedder_port not in (0, machine.embedder_port):
        notes.append(f"embedder: port {settings.embedder_port} is taken, {machine.embedder_port} instead")
    if settings.batcher_port not in (0, machine.batcher_port):
        notes.append(f"batcher: port {settings.batcher_port} is taken, {machine.batcher_port} instead")
    if machine.nginx is None:
        notes.append("nginx: none that works, so gunicorn serves the public port itself")

    stages = [
        (_redis(machine.redis, machine.run_dir),) if machine.redis else (),
        (_embedder(settings, flags, machine),) if has_embedder else (),
        (_batcher(settings, models, flags, env, machine),),
        *_edge(settings, env, machine),
    ]
    return StartPlan(tuple(stage for stage in stages if stage), tuple(notes))


def reachable(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _redis(program: Program, run_dir: Path) -> Part:
    socket = redis_socket(run_dir)
    options = ("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(run_dir))
    return Part(
        name="redis",
        argv=(*program.argv, *options, "--save", "", "--appendonly", "no", "--always-show-logo", "no"),
        ready=Ready("redis", socket=socket),
        address=str(socket),
        version=program.version,
    )


def _embedder(settings: UpSettings, flags: Mapping[str, str], machine: Machine) -> Part:
    return Part(
        name="embedder",
        argv=_python("autobatch_embedder"),
        ready=Ready("http", host=reachable(settings.embedder_host), port=machine.embedder_port),
        address=_url(settings.embedder_host, machine.embedder_port),
        env={**flags, "EMBEDDER_PORT": str(machine.embedder_port)},
    )


def _upstreams_note(model: UpSettings) -> str:
    of_model = f" of {model.served_model_name}" if model.served_model_name else ""
    return f"upstream{of_model}: {', '.join(map(without_credentials, servers_of(model.inference_url)))} (INFERENCE_URL)"


def _batcher(
    settings: UpSettings,
    models: Sequence[UpSettings],
    flags: Mapping[str, str],
    env: Mapping[str, str],
    machine: Machine,
) -> Part:
    if settings.inference_url:
        env = {**env, "INFERENCE_URL": settings.inference_url}
    elif needs_embedder(models):
        env = {**env, "INFERENCE_URL": _url(settings.embedder_host, machine.embedder_port)}
    # A table of `config.toml` counts before the environment, and flags before the table.
    own_flags = [
        f"--{name.lower().replace('_', '-')}={flags[name]}" for name in flags if name.lower() in MODEL_SETTINGS
    ]
    return Part(
        name="batcher",
        argv=(*_python("autobatch_batcher"), *own_flags),
        ready=Ready("http", host=reachable(settings.batcher_host), port=machine.batcher_port),
        address=_url(settings.batcher_host, machine.batcher_port),
        env={**env, "BATCHER_PORT": str(machine.batcher_port)},
        stop_grace_s=max(model.drain_timeout_ms for model in models) / 1000 + STOP_SPARE_S,
        is_early=not needs_embedder(models),
    )


def _edge(settings: UpSettings, env: Mapping[str, str], machine: Machine) -> list[tuple[Part, ...]]:
    """The workers and nginx, or the workers alone on the public port."""
    if machine.own_key is not None:
        digest = hashlib.sha256(machine.own_key.encode()).hexdigest()
        env = {**env, UP_KEY: f"sha256:{digest}"}
    grace_s = (settings.request_timeout_ms + settings.stop_delay_ms) / 1000 + STOP_SPARE_S
    public = Ready("http", host=reachable(settings.host), port=settings.port)
    address = _url(settings.host, settings.port)
    if machine.nginx is None:
        alone = Part(
            name="proxy",
            argv=_python("autobatch_proxy"),
            ready=public,
            address=address,
            env={**env, "WEB_CONCURRENCY": str(machine.workers)},
            stop_grace_s=grace_s,
            orphan_signal=signal.SIGTERM,
        )
        return [(alone,)]
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(metrics_folder(machine.run_dir))}  # any worker's /metrics speaks for all
    workers = tuple(
        Part(
            name=socket.stem,
            argv=_python("autobatch_proxy"),
            ready=Ready("http", socket=socket),
            address=str(socket),
            env={**env, **shared, "WEB_CONCURRENCY": "1", "UDS_PATH": str(socket)},
            stop_grace_s=grace_s,
            orphan_signal=signal.SIGTERM,
            is_early=True,
        )
        for socket in worker_sockets(machine.run_dir, machine.workers)
    )
    nginx = Part(
        name="nginx",
        argv=machine.nginx.argv,
        ready=public,
        address=address,
        version=machine.nginx.version,
        stop_signal=signal.SIGQUIT,  # finishes the requests in flight; SIGTERM would cut them
        stop_grace_s=grace_s,
        orphan_signal=signal.SIGTERM,
    )
    return [workers, (nginx,)]


def _python(module: str) -> tuple[str, ...]:
    # -P: a folder with our package's name in the user's current folder is not ours.
    return (sys.executable, "-P", "-m", module)


def _url(host: str, port: int) -> str:
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
