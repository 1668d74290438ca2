"""The project's MiniLM as a runtime of MLServer: BYTES `text` (1) -> FP32 `embedding` (384)."""

from typing import Any

import numpy as np
from minilm import MiniLM  # beside this file, in PYTHONPATH
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class EmbeddingModel(MLModel):  # type: ignore[misc]  # mlserver is not in the development environment
    """A model of MLServer; its settings name the files of the graph and of the tokenizer."""

    async def load(self) -> bool:
        """Read both."""
        files: dict[str, Any] = self.settings.parameters.extra
        self._minilm = MiniLM(files["graph"], files["tokenizer"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Compute one call."""
        texts = StringCodec.decode_input(payload.inputs[0])
        vectors = self._minilm.of_texts(texts).astype(np.float32)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("embedding", vectors)])
