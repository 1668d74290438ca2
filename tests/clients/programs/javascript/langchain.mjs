// @langchain/openai: base URL and key. Its model is text-embedding-ada-002; it has two requests under way at most.

import { OpenAIEmbeddings } from "@langchain/openai";
import { APIError } from "openai";

import { answer } from "./protocol.mjs";

await answer(
  (baseURL) => {
    const client = new OpenAIEmbeddings({ apiKey: "unused", configuration: { baseURL } });
    return { one: (text) => client.embedQuery(text), list: (texts) => client.embedDocuments(texts) };
  },
  (error) => (error instanceof APIError ? { status: error.status, message: error.message } : undefined),
);
