// @mistralai/mistralai: the server's URL without /v1, and a key; the model is an argument of every call.

import { Mistral } from "@mistralai/mistralai";
import { HTTPValidationError, SDKError } from "@mistralai/mistralai/models/errors";

import { answer } from "./protocol.mjs";

await answer(
  (serverURL) => {
    const client = new Mistral({ serverURL, apiKey: "unused" });
    const list = async (inputs) => {
      const { data } = await client.embeddings.create({ model: "mistral-embed", inputs });
      return data.map((item) => item.embedding);
    };
    return { one: async (text) => (await list(text))[0], list };
  },
  // ResponseValidationError is a MistralError too: an answer that the SDK could not read.
  (error) =>
    error instanceof SDKError || error instanceof HTTPValidationError
      ? { status: error.statusCode, message: error.message }
      : undefined,
);
