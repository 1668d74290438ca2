// openai: base URL and key; the model is an argument of every call.

import OpenAI from "openai";

import { answer } from "./protocol.mjs";

await answer(
  (baseURL) => {
    const client = new OpenAI({ baseURL, apiKey: "unused" });
    const list = async (input) => {
      const { data } = await client.embeddings.create({ model: "text-embedding-3-small", input });
      return data.map((item) => item.embedding);
    };
    return { one: async (text) => (await list(text))[0], list };
  },
  (error) => (error instanceof OpenAI.APIError ? { status: error.status, message: error.message } : undefined),
);
