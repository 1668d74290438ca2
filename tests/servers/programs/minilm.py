"""The project's MiniLM for servers that run Python: nothing of the project is imported here, and they have another numpy."""

from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

TOKENS_MAX = 256


class MiniLM:
    """The embedder's graph, with the tokens before it and the norm behind it."""

    def __init__(self, graph: str, tokenizer: str) -> None:
        self._tokenizer = Tokenizer.from_file(tokenizer)
        self._tokenizer.enable_truncation(TOKENS_MAX)
        self._tokenizer.enable_padding()
        self._session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def of_texts(self, texts: list[str]) -> Any:
        """Return (texts, 384) float32."""
        rows = self._tokenizer.encode_batch(texts)
        return self.of_tokens(np.array([row.ids for row in rows]), np.array([row.attention_mask for row in rows]))

    def of_tokens(self, ids: Any, mask: Any) -> Any:
        """Return (rows, 384) float32 of (rows, tokens) int64."""
        (pooled,) = self._session.run(["pooled"], {"input_ids": ids, "attention_mask": mask})
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
