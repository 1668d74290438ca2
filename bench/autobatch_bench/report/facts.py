"""Facts about the machine and the versions, for a report."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from autobatch_console.up.programs import NotFoundError, find_nginx, find_redis, search_path

PACKAGES = ("autobatch-proxy", "aiohttp", "gunicorn", "hiredis", "msgspec", "onnxruntime", "tokenizers", "uvloop")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Commit:
    """What is measured."""

    name: str
    is_dirty: bool  # files of it were changed since

    def __str__(self) -> str:
        """For the report."""
        return f"{self.name} WITH CHANGES: a version that cannot be had again" if self.is_dirty else self.name


def collect(command: Sequence[str], measured: Commit) -> dict[str, str]:
    """Return facts by their name; `command` is what was run."""
    nginx, _ = find_nginx(search_path(), lambda _argv: "")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(command),
        "git commit": str(measured),
        "CPU": _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or UNKNOWN,
        "cores": str(os.cpu_count()),
        "memory": _field(Path("/proc/meminfo"), "MemTotal") or UNKNOWN,
        "OS": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Redis": _redis(),
        "nginx": nginx.version if nginx else "none",
        "packages": ", ".join(_package(name) for name in PACKAGES),
    }


def commit(here: Path = Path(__file__)) -> Commit:
    """The commit of the checkout that a file of ours belongs to; unknown where it is installed without one."""
    if not _git(here.parent, "ls-files", here.name):  # an environment may lie in a checkout of something else
        return Commit(UNKNOWN, is_dirty=False)
    name = _git(here.parent, "describe", "--always", "--abbrev=12", "--exclude=*")
    return Commit(name, is_dirty=bool(_git(here.parent, "status", "--porcelain")))


def _git(folder: Path, *argv: str) -> str:
    """What git prints about a folder; empty where there is no git or no checkout."""
    try:
        done = subprocess.run(("git", "-C", str(folder), *argv), capture_output=True, check=False, timeout=10)  # noqa: S607 - git is where PATH says
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode().strip()


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
