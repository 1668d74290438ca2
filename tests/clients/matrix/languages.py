"""Languages whose SDKs are measured by programs: how those of `programs/<language>/` are built, and when they run.

JavaScript runs if it is installed. The others are built and run only with CLIENTS=others
(`make test-clients-others`), because of their build times. A language that is not installed, is too old or cannot reach
its registry is skipped with that reason; in CI, which has them, that is a failure.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.clients.harness.environments import environment

PROGRAMS = Path(__file__).parents[1] / "programs"
OTHERS = "others"  # the name of the environment that runs them all
BUILD_S = 900  # async-openai and what it needs, from nothing, on two busy cores
REASON_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Language:
    """How programs of a language are built in their folder.

    Attributes:
        tools: What must be installed.
        build: Builds all programs at the versions of the lock file; quick if there is nothing to do.
        manifests: The files that pin the SDKs.
        pin: Finds the version of `{package}` in them.
        unable: Matches the tools' errors if this machine cannot build: no registry, or a tool that is too old.
        lock: The file that pins everything, if the build is not quick with nothing to do.
        built: The file that such a build writes last.
        is_quick: Whether it is built and run by default.
    """

    tools: tuple[str, ...]
    build: tuple[str, ...]
    manifests: str
    pin: str
    unable: str
    lock: str = ""
    built: str = ""
    is_quick: bool = False


LANGUAGES = {
    "JavaScript": Language(
        ("node", "npm"),
        ("npm", "ci"),
        "package.json",
        r'"{package}": "(.+?)"',
        r".*(?:EBADENGINE|ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT).*",
        lock="package-lock.json",
        built="node_modules/.package-lock.json",
        is_quick=True,
    ),
    "Go": Language(
        ("go",),
        ("go", "build", "-o", "built/", "./openai-go", "./go-openai"),
        "go.mod",
        r"\t{package} v(\S+)",
        r".*(?:dial tcp|proxyconnect|i/o timeout|toolchain not available|requires go >=).*",
    ),
    "Rust": Language(
        ("cargo",),
        ("cargo", "build", "--locked", "--quiet"),
        "Cargo.toml",
        r'{package} = .*"=(.+?)"',
        r".*(?:Could not resolve|Could not connect|failed to download|requires rustc|edition2024).*",
    ),
    "Java": Language(
        ("java", "javac", "mvn"),
        ("mvn", "--quiet", "--batch-mode", "package"),
        "*/pom.xml",
        r"<artifactId>{package}</artifactId>\s*<version>(.+?)<",
        r".*(?:Could not transfer artifact|release version \d+ not supported|invalid target release).*",
    ),
}


def folder_of(language: str) -> Path:
    """Return the folder of a language's programs, which is also their working directory."""
    return PROGRAMS / language.lower()


def pinned(language: str, package: str) -> str:
    """Return the pinned version of an SDK; nothing needs to be installed."""
    known = LANGUAGES[language]
    texts = [file.read_text(encoding="utf-8") for file in folder_of(language).glob(known.manifests)]
    found = re.search(known.pin.replace("{package}", re.escape(package)), "\n".join(texts))
    assert found, f"{package} is not pinned in {known.manifests}"
    return found.group(1)


def not_asked(language: str) -> str:
    """Return why a language is left to another run, or the empty string."""
    if environment() == OTHERS or (LANGUAGES[language].is_quick and not environment()):
        return ""
    return f"{language} is built and run by `make test-clients-others`"


def why_not(language: str, before: Mapping[str, str]) -> str:
    """Build the programs of a language, once; return why they cannot run on this machine, or the empty string.

    Args:
        language: One of LANGUAGES.
        before: The environment of the shell: builds may need its proxies.
    """
    return _built_once(language, tuple(before.items()))


@cache
def _built_once(language: str, before: tuple[tuple[str, str], ...]) -> str:
    return built(LANGUAGES[language], folder_of(language), dict(before))


def built(language: Language, folder: Path, before: Mapping[str, str]) -> str:
    """Build what is in a folder; return why this machine cannot, or the empty string.

    A program's own error fails the test.
    """
    if missing := [tool for tool in language.tools if not shutil.which(tool, path=before.get("PATH"))]:
        return _excused(f"{' and '.join(missing)} not installed", before)
    if language.built and _is_newer(folder / language.built, folder / language.lock):
        return ""
    done = subprocess.run(
        language.build, cwd=folder, env=dict(before), capture_output=True, text=True, check=False, timeout=BUILD_S
    )
    said = done.stderr + done.stdout
    if done.returncode and (unable := re.search(language.unable, said)):
        return _excused(f"{language.build[0]}: {unable.group().strip()}"[:REASON_CHARS_MAX], before)
    assert not done.returncode, f"{' '.join(language.build)} in {folder}:\n{said}"
    return ""


def _excused(reason: str, before: Mapping[str, str]) -> str:
    assert "CI" not in before, f"CI has what its languages need: {reason}"
    return reason


def _is_newer(made: Path, source: Path) -> bool:
    return made.exists() and made.stat().st_mtime_ns >= source.stat().st_mtime_ns
