"""Which SDK runs in which environment, so that none is left out unnoticed.

Two environments are needed because some frameworks do not resolve together with the newest SDKs:

- `new`: requirements/clients-new.txt. The development environment has the same SDKs, so CI runs these.
- `old`: requirements/clients-old.txt.

`make test-clients` runs every test in both. The variable CLIENTS names the environment: there, an SDK of its list that
is missing or has another major version is a failure. Any other SDK that is missing is a skip. With CLIENTS=others the
development environment runs the SDKs of all other languages: `languages.py`.
"""

import importlib
import os
from typing import Any

import pytest

#: Distribution -> major version, or minor where the major is 0. The frameworks of `old` bring their own SDK versions.
SDKS = {
    "new": {
        "openai": "3",
        "huggingface_hub": "2",
        "mistralai": "3",
        "pydantic-ai-slim": "2",
        "voyageai": "0.5",
        "cohere": "7",
        "ollama": "0.6",
    },
    "old": {
        "openai": "2",
        "huggingface_hub": "1",
        "llama-index-embeddings-text-embeddings-inference": "0.6",
        "llama-index-embeddings-openai": "0.7",
        "llama-index-embeddings-litellm": "0.6",
        "llama-index-embeddings-huggingface-api": "0.6",
        "langchain-openai": "1",
        "haystack-ai": "3",
        "huggingface-api-haystack": "3",
        "litellm": "1",
        "chromadb": "1",
        "dspy": "3",
    },
}


def environment() -> str:
    """Return the name of the environment that is running; the empty string if none was chosen."""
    return os.environ.get("CLIENTS", "")


def sdk(distribution: str, module: str) -> Any:
    """Import a module of an SDK, as the first thing that a test file does."""
    if distribution in SDKS.get(environment(), {}):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{distribution} is not installed here; `make test-clients` runs it")
