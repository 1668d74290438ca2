"""Where the repository is, and its files."""

import subprocess
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("autobatch", "proxy", "batcher", "embedder", "console", "bench")


@cache
def repository_files() -> tuple[PurePosixPath, ...]:
    """Return the files that git tracks, and new ones that it does not ignore: relative to the repository, sorted.

    Skips the test where this is not a git checkout.
    """
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git lists no files here: {error}")
    files = {PurePosixPath(name) for name in listed.split("\0") if name}  # a file in conflict is listed thrice
    return tuple(sorted(file for file in files if (ROOT / file).is_file()))  # one that was removed is still tracked


def product_folder(file: PurePosixPath) -> str:
    """Return the top-level folder of a file of the product, and the empty string for any other file."""
    return file.parts[0] if file.parts[0] in PRODUCT else ""
