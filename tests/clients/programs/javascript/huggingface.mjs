// @huggingface/inference: the endpoint's URL without /v1, and no model. It speaks the API of text-embeddings-inference.

import { InferenceClient, InferenceClientProviderApiError } from "@huggingface/inference";

import { answer } from "./protocol.mjs";

await answer(
  (endpointUrl) => {
    const client = new InferenceClient("unused", { endpointUrl });
    const list = (inputs) => client.featureExtraction({ inputs });
    return { one: async (text) => (await list(text))[0], list };
  },
  (error) =>
    error instanceof InferenceClientProviderApiError
      ? { status: error.httpResponse.status, message: error.message }
      : undefined,
);
