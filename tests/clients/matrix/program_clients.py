"""The SDKs of other languages. What each sets is in its program; see `programs/<language>/`.

A program reads `{"base_url": ..., "mode": ..., "texts": [...]}` on stdin and prints `{"vectors": [[...], ...]}` as the
last line of stdout. Otherwise its exit code is not 0, and if the SDK read the server's answer as an error of its own
class, it prints `{"refused": {"class": ..., "status": ..., "message": ...}}`.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.clients.harness.served import KEPT
from tests.clients.matrix.languages import folder_of, pinned
from tests.clients.matrix.measuring import Client

RUN_S = 60
NO_DEFAULT = "the model's name: it has no default, so it is the documentation's"
NO_V1 = "the base URL is without `/v1`"


class ProgramFailed(Exception):
    """A program failed; the text is its last message.

    Attributes:
        refused: `class`, `status` and `message` of the SDK's own error; empty if the server gave no answer.
    """

    def __init__(self, refused: dict[str, Any], stderr: str) -> None:
        words = f"{refused['class']}: {refused['message']}" if refused else stderr.strip()
        super().__init__(words or "it said nothing")
        self.refused = refused


@dataclass(frozen=True, slots=True)
class SdkProgram:
    """One SDK.

    Attributes:
        package: Its name in the registry of its language.
        command: What runs it, from the folder of its language.
        path: What follows the system's address in its base URL.
        needs: What had to be set besides base URL and key, and why.
        must_share: See Client.
        too_much: The SDK itself refuses an empty text, but sends one that is too long.
    """

    name: str
    language: str
    package: str
    command: tuple[str, ...]
    path: str = "/v1"
    needs: str = ""
    must_share: bool = True
    too_much: bool = False

    @property
    def version(self) -> str:
        """Of the SDK, as it is pinned."""
        return pinned(self.language, self.package)

    def embed(self, base_url: str, mode: str, texts: Sequence[str]) -> Any:
        """Run it once; return its vectors or raise ProgramFailed."""
        done = subprocess.run(
            self.command,
            cwd=folder_of(self.language),
            env={name: os.environ[name] for name in KEPT if name in os.environ},
            input=json.dumps({"base_url": base_url, "mode": mode, "texts": list(texts)}),
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_S,
        )
        last = json.loads((done.stdout.splitlines() or ["{}"])[-1])
        if done.returncode:
            raise ProgramFailed(last.get("refused", {}), done.stderr)
        return last["vectors"]

    @property
    def client(self) -> Client:
        """The same as a client of the matrix."""
        return Client(
            self.name,
            self.language,
            self.version,
            self.embed,
            self.path,
            self.needs,
            must_share=self.must_share,
        )


def _java(module: str) -> tuple[str, ...]:
    return ("java", "-cp", f"{module}/target/classes:{module}/target/lib/*", "Main")


PROGRAMS = (
    SdkProgram("openai", "JavaScript", "openai", ("node", "openai.mjs"), needs=NO_DEFAULT),
    SdkProgram(
        "@langchain/openai",
        "JavaScript",
        "@langchain/openai",
        ("node", "langchain.mjs"),
        needs="`maxConcurrency`, for more than two calls at once: each instance makes its other calls wait, so few are shared",
        must_share=False,
    ),
    SdkProgram(
        "@langchain/openai, with maxConcurrency 100",
        "JavaScript",
        "@langchain/openai",
        ("node", "langchain.mjs", "100"),
        needs="`maxConcurrency`",
    ),
    SdkProgram("ai with @ai-sdk/openai", "JavaScript", "@ai-sdk/openai", ("node", "ai-sdk.mjs"), needs=NO_DEFAULT),
    SdkProgram(
        "@mistralai/mistralai",
        "JavaScript",
        "@mistralai/mistralai",
        ("node", "mistralai.mjs"),
        path="",
        needs=f"{NO_DEFAULT}; {NO_V1}",
    ),
    SdkProgram(
        "@huggingface/inference",
        "JavaScript",
        "@huggingface/inference",
        ("node", "huggingface.mjs"),
        path="",
        needs="`endpointUrl` is the server's URL; any other path in it is used as it is",
    ),
    SdkProgram("openai-go", "Go", "github.com/openai/openai-go/v3", ("built/openai-go",), needs=NO_DEFAULT),
    SdkProgram("go-openai", "Go", "github.com/sashabaranov/go-openai", ("built/go-openai",), needs=NO_DEFAULT),
    SdkProgram("async-openai", "Rust", "async-openai", ("target/debug/async-openai-client",), needs=NO_DEFAULT),
    SdkProgram(
        "langchain4j-open-ai", "Java", "langchain4j-open-ai", _java("langchain4j"), needs=NO_DEFAULT, too_much=True
    ),
    SdkProgram("spring-ai-openai", "Java", "spring-ai-openai", _java("spring-ai")),
)
