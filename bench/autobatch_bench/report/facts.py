"""Facts about the machine and the versions, for a report."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from autobatch_console.up.programs import NotFoundError, find_nginx, find_redis, search_path

PACKAGES = ("autobatch", "aiohttp", "gunicorn", "hiredis", "msgspec", "onnxruntime", "tokenizers", "uvloop")
UNKNOWN = "unknown"


def collect(command: Sequence[str]) -> dict[str, str]:
    """Return facts by name; `command` is the command that was run."""
    nginx, _ = find_nginx(search_path(), lambda _argv: "")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(command),
        "git commit": _commit(),
        "CPU": _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or UNKNOWN,
        "cores": str(os.cpu_count()),
        "memory": _field(Path("/proc/meminfo"), "MemTotal") or UNKNOWN,
        "OS": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Redis": _redis(),
        "nginx": nginx.version if nginx else "none",
        "packages": ", ".join(_package(name) for name in PACKAGES),
    }


def _commit() -> str:
    """The commit of the checkout we run from, and whether files differ from it."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ("git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"),  # noqa: S607 - git is where PATH says
            capture_output=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    return done.stdout.decode().strip() or UNKNOWN


def _field(file: Path, name: str) -> str:
    """The value of the first `name : value` line."""
    if not file.exists():
        return ""
    lines = (line.partition(":") for line in file.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _redis() -> str:
    try:
        found = find_redis(search_path())
    except NotFoundError:
        return "none"
    return f"{found.name} {found.version}"


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"
