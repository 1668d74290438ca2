"""The folder that nginx runs in: our nginx.conf, the workers' addresses, and where to listen.

The text is made and written here; nginx itself tests whether it is valid.
"""

import grp
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from autobatch_console.up.programs import output_of

BODY_SPARE_BYTES = 1 << 20  # above PAYLOAD_LIMIT, so that the worker refuses first, in the upstream's words
TIMEOUT_SPARE_MS = 10_000  # above REQUEST_TIMEOUT_MS, so that the worker's 504 comes first


def conf_folder() -> Path:
    """Return the folder of nginx.conf: in the package when installed, at the repository root in a checkout."""
    package = Path(__file__).parents[1]
    return package / "nginx" if (package / "nginx" / "nginx.conf").is_file() else package.parents[1] / "nginx"


def upstream_conf(sockets: Sequence[Path]) -> str:
    """Return the `server` lines, one for each worker's unix socket.

    nginx never marks one as failed: a socket without a listener refuses in microseconds, and the request goes to the
    next one. Skipping a worker for a second turns a rolling restart into an outage: the first is still skipped when the
    second stops.
    """
    return "".join(f'server "unix:{socket}" max_fails=0;\n' for socket in sockets)


def listen_conf(host: str, port: int, *, payload_limit: int, request_timeout_ms: int, access_log: str) -> str:
    """Return the address to listen on, and the directives that follow from the settings."""
    address = f"[{host}]" if ":" in host else host
    return (
        f"listen {address}:{port} backlog=4096;\n"
        f"client_max_body_size {payload_limit + BODY_SPARE_BYTES};\n"
        f"proxy_read_timeout {request_timeout_ms + TIMEOUT_SPARE_MS}ms;\n"
        f"proxy_next_upstream_timeout {request_timeout_ms}ms;\n"
        f'access_log "{access_log}" access buffer=64k flush=1s;\n'
    )


def write(prefix: Path, upstream: str, listen: str) -> None:
    """Make the folder that nginx is started in."""
    prefix.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(conf_folder() / "nginx.conf", prefix / "nginx.conf")
    (prefix / "upstream.conf").write_text(upstream, encoding="utf-8")
    (prefix / "listen.conf").write_text(listen, encoding="utf-8")


def argv(nginx: Sequence[str], prefix: Path) -> tuple[str, ...]:
    """Return the command line that runs nginx in the foreground in this folder."""
    # nginx started by root would run its workers as `nobody`, which may not open our folder and the workers' sockets.
    user = f" user root {grp.getgrgid(0).gr_name};" if os.geteuid() == 0 else ""
    return (*nginx, "-p", f"{prefix}/", "-e", "stderr", "-c", "nginx.conf", "-g", f"daemon off;{user}")


def fault_of(nginx: Sequence[str], prefix: Path) -> str:
    """Let an nginx test the folder. Return its first error, or the empty string if it will run."""
    status, text = output_of((*argv(nginx, prefix), "-t"))
    lines = text.strip().splitlines() or [f"exit status {status}"]
    return "" if status == 0 else next((line for line in lines if "[emerg]" in line), lines[0])
