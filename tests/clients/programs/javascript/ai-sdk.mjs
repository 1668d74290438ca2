// ai with @ai-sdk/openai: base URL and key; the model is an argument of every call. It asks for floats.

import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, embed, embedMany } from "ai";

import { answer } from "./protocol.mjs";

await answer(
  (baseURL) => {
    const model = createOpenAI({ baseURL, apiKey: "unused" }).embeddingModel("text-embedding-3-small");
    return {
      one: async (value) => (await embed({ model, value })).embedding,
      list: async (values) => (await embedMany({ model, values })).embeddings,
    };
  },
  (error) => (APICallError.isInstance(error) ? { status: error.statusCode, message: error.message } : undefined),
);
