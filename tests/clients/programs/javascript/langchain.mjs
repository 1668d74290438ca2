// @langchain/openai: base URL and key. Its model is text-embedding-ada-002. It makes two calls at once; an argument says
// otherwise.

import { OpenAIEmbeddings } from "@langchain/openai";
import { APIError } from "openai";

import { answer } from "./protocol.mjs";

await answer(
  (baseURL) => {
    const atOnce = process.argv[2] && { maxConcurrency: Number(process.argv[2]) };
    const client = new OpenAIEmbeddings({ apiKey: "unused", configuration: { baseURL }, ...atOnce });
    return { one: (text) => client.embedQuery(text), list: (texts) => client.embedDocuments(texts) };
  },
  (error) => (error instanceof APIError ? { status: error.status, message: error.message } : undefined),
);
