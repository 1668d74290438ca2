"""OpenAI's vocabulary, as packages ship it for offline use: for SDKs that send its ids, and for the server."""

from importlib.util import find_spec
from pathlib import Path

import pytest

#: tiktoken's name for its copy of https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken: SHA-1 of that.
RANKS = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"


def ranks_folder() -> Path:
    """Return litellm's folder with the file of ranks, without importing it; skip the test if there is none."""
    spec = find_spec("litellm")
    for package in (spec and spec.submodule_search_locations) or ():
        folder = Path(package) / "litellm_core_utils" / "tokenizers"
        if (folder / RANKS).is_file():
            return folder
    pytest.skip("no package here has OpenAI's vocabulary; `make test-clients` runs it")
