"""The SDKs of Python, each as its documentation sets it up: a base URL, a key, and only what else it requires.

If an SDK has a default model, its name is not set. If it requires one, it is the documentation's.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from importlib.metadata import version
from typing import Any

from tests.clients.harness.cl100k import ranks_folder
from tests.clients.harness.environments import sdk
from tests.clients.matrix.measuring import Client

KEY = "unused"
NO_DEFAULT = "the model's name: it has no default, so it is the documentation's"

Embed = Callable[[str, str, Sequence[str]], Any]


def in_threads(
    make: Callable[[str], AbstractContextManager[Any]],
    one: Callable[[Any, str], Any],
    many: Callable[[Any, list[str]], Any],
) -> Embed:
    """Use one client of a base URL in a thread for each text, or for a list."""

    def embed(base_url: str, mode: str, texts: Sequence[str]) -> Any:
        with make(base_url) as client, ThreadPoolExecutor(len(texts)) as threads:
            if mode == "list":
                return many(client, list(texts))
            return list(threads.map(lambda text: one(client, text), texts))

    return embed


def in_tasks(
    make: Callable[[str], AbstractAsyncContextManager[Any]],
    one: Callable[[Any, str], Awaitable[Any]],
    many: Callable[[Any, list[str]], Awaitable[Any]],
) -> Embed:
    """Use one client of a base URL in a task for each text, or for a list."""

    async def ask(base_url: str, mode: str, texts: Sequence[str]) -> Any:
        async with make(base_url) as client:
            if mode == "list":
                return await many(client, list(texts))
            return await asyncio.gather(*(one(client, text) for text in texts))

    return lambda base_url, mode, texts: asyncio.run(ask(base_url, mode, texts))


def rows_of(answer: Any) -> list[Any]:
    """Return the vectors of an answer as OpenAI's SDK has it."""
    return [item.embedding for item in answer.data]


def openai_threads() -> Client:
    module = sdk("openai", "openai")
    model = "text-embedding-ada-002"

    def many(client: Any, texts: Any) -> list[Any]:
        return rows_of(client.embeddings.create(model=model, input=texts))

    embed = in_threads(
        lambda base_url: module.OpenAI(base_url=base_url, api_key=KEY), lambda client, text: many(client, text)[0], many
    )
    return Client("openai (threads)", "Python", version("openai"), embed, needs=NO_DEFAULT)


def openai_tasks() -> Client:
    module = sdk("openai", "openai")
    model = "text-embedding-3-small"

    async def many(client: Any, texts: Any) -> list[Any]:
        return rows_of(await client.embeddings.create(model=model, input=texts))

    async def one(client: Any, text: str) -> Any:
        return (await many(client, text))[0]

    embed = in_tasks(lambda base_url: module.AsyncOpenAI(base_url=base_url, api_key=KEY), one, many)
    return Client("openai (asyncio)", "Python", version("openai"), embed, needs=NO_DEFAULT)


def _langchain(name: str, needs: str = "", **options: Any) -> Client:
    os.environ["TIKTOKEN_CACHE_DIR"] = str(ranks_folder())  # it would be fetched from another host
    module = sdk("langchain-openai", "langchain_openai")
    embed = in_tasks(
        lambda base_url: nullcontext(module.OpenAIEmbeddings(base_url=base_url, api_key=KEY, **options)),
        lambda client, text: client.aembed_query(text),
        lambda client, texts: client.aembed_documents(texts),
    )
    return Client(name, "Python", version("langchain-openai"), embed, needs=needs)


def langchain_openai() -> Client:
    return _langchain("langchain-openai")


def langchain_openai_with_cl100k() -> Client:
    return _langchain(
        "langchain-openai (cl100k)",
        "on the server `OPENAI_TOKEN_IDS=cl100k`: the client sends ids of OpenAI's vocabulary instead of texts",
    )


def langchain_openai_with_texts() -> Client:
    return _langchain(
        "langchain-openai (texts)",
        "`check_embedding_ctx_length=False`: otherwise it sends ids of OpenAI's vocabulary instead of texts",
        check_embedding_ctx_length=False,
    )


def llama_index_openai() -> Client:
    module = sdk("llama-index-embeddings-openai", "llama_index.embeddings.openai")
    embed = in_tasks(
        lambda base_url: nullcontext(module.OpenAIEmbedding(api_base=base_url, api_key=KEY)),
        lambda client, text: client.aget_text_embedding(text),
        lambda client, texts: client.aget_text_embedding_batch(texts),
    )
    return Client("llama-index OpenAIEmbedding", "Python", version("llama-index-embeddings-openai"), embed)


def llama_index_tei() -> Client:
    distribution = "llama-index-embeddings-text-embeddings-inference"
    module = sdk(distribution, "llama_index.embeddings.text_embeddings_inference")
    model = "BAAI/bge-large-en-v1.5"
    embed = in_threads(
        lambda base_url: nullcontext(module.TextEmbeddingsInference(model_name=model, base_url=base_url)),
        lambda client, text: client.get_text_embedding(text),
        lambda client, texts: client.get_text_embedding_batch(texts),
    )
    options = {"truncate": True}
    needs = f"{NO_DEFAULT} (and is not sent)"
    return Client(
        "llama-index TextEmbeddingsInference", "Python", version(distribution), embed, "", needs, options=options
    )


def llama_index_litellm() -> Client:
    module = sdk("llama-index-embeddings-litellm", "llama_index.embeddings.litellm")
    model = "text-embedding-3-small"
    embed = in_threads(
        lambda base_url: nullcontext(module.LiteLLMEmbedding(model_name=model, api_base=base_url, api_key=KEY)),
        lambda client, text: client.get_text_embedding(text),
        lambda client, texts: client.get_text_embedding_batch(texts),
    )
    seen = version("llama-index-embeddings-litellm")
    return Client("llama-index LiteLLMEmbedding", "Python", seen, embed, needs=NO_DEFAULT)


def haystack_openai() -> Client:
    haystack = sdk("haystack-ai", "haystack")
    secret = sdk("haystack-ai", "haystack.utils").Secret.from_token(KEY)
    embedders = sdk("haystack-ai", "haystack.components.embedders")

    def many(base_url: str, texts: list[str]) -> list[Any]:
        embedder = embedders.OpenAIDocumentEmbedder(api_base_url=base_url, api_key=secret)
        return [
            each.embedding for each in embedder.run([haystack.Document(content=text) for text in texts])["documents"]
        ]

    def one(base_url: str, text: str) -> Any:
        return embedders.OpenAITextEmbedder(api_base_url=base_url, api_key=secret).run(text)["embedding"]

    return Client("haystack OpenAI embedders", "Python", version("haystack-ai"), in_threads(nullcontext, one, many))


def haystack_tei() -> Client:
    haystack = sdk("haystack-ai", "haystack")
    embedders = sdk("huggingface-api-haystack", "haystack_integrations.components.embedders.huggingface_api")

    def options_of(url: str) -> dict[str, Any]:
        return {"api_type": "text_embeddings_inference", "api_params": {"url": url}}

    def many(url: str, texts: list[str]) -> list[Any]:
        embedder = embedders.HuggingFaceAPIDocumentEmbedder(**options_of(url))
        return [
            each.embedding for each in embedder.run([haystack.Document(content=text) for text in texts])["documents"]
        ]

    def one(url: str, text: str) -> Any:
        return embedders.HuggingFaceAPITextEmbedder(**options_of(url)).run(text)["embedding"]

    embed = in_threads(nullcontext, one, many)
    options = {"normalize": False}
    distribution = version("huggingface-api-haystack")
    return Client("haystack HuggingFaceAPI embedders", "Python", distribution, embed, "", options=options)


def _litellm(model: str, path: str = "/v1", needs: str = NO_DEFAULT) -> Client:
    module = sdk("litellm", "litellm")

    async def many(base_url: str, texts: Any) -> list[Any]:
        answer = await module.aembedding(model=model, input=texts, api_base=base_url, api_key=KEY)
        return [item["embedding"] for item in answer.data]

    async def one(base_url: str, text: str) -> Any:
        return (await many(base_url, text))[0]

    provider = model.partition("/")[0]
    return Client(f"litellm ({provider})", "Python", version("litellm"), in_tasks(nullcontext, one, many), path, needs)


def litellm_openai() -> Client:
    return _litellm("openai/text-embedding-ada-002")


def litellm_hosted_vllm() -> Client:
    return _litellm("hosted_vllm/BAAI/bge-base-en-v1.5")


def litellm_infinity() -> Client:
    return _litellm("infinity/BAAI/bge-small-en-v1.5", "", f"{NO_DEFAULT}; the base URL is without `/v1`")


def _chromadb(name: str, make: Callable[[Any, str], Any], path: str) -> Client:
    functions = sdk("chromadb", "chromadb.utils.embedding_functions")
    embed = in_threads(
        lambda base_url: nullcontext(make(functions, base_url)),
        lambda function, text: function([text])[0],
        lambda function, texts: function(texts),
    )
    return Client(f"chromadb {name}", "Python", version("chromadb"), embed, path)


def chromadb_openai() -> Client:
    os.environ["OPENAI_API_KEY"] = KEY
    name = "OpenAIEmbeddingFunction"
    return _chromadb(name, lambda functions, url: functions.OpenAIEmbeddingFunction(api_base=url), "/v1")


def chromadb_tei() -> Client:
    name = "HuggingFaceEmbeddingServer"
    return _chromadb(name, lambda functions, url: functions.HuggingFaceEmbeddingServer(url=f"{url}/embed"), "")


def huggingface_hub_threads() -> Client:
    module = sdk("huggingface_hub", "huggingface_hub")
    embed = in_threads(
        lambda base_url: nullcontext(module.InferenceClient(base_url=base_url)),
        lambda client, text: client.feature_extraction(text)[0],
        lambda client, texts: client.feature_extraction(texts),
    )
    return Client("huggingface_hub (threads)", "Python", version("huggingface_hub"), embed, "")


def huggingface_hub_tasks() -> Client:
    module = sdk("huggingface_hub", "huggingface_hub")

    async def one(client: Any, text: str) -> Any:
        return (await client.feature_extraction(text))[0]

    embed = in_tasks(
        lambda base_url: module.AsyncInferenceClient(base_url=base_url),
        one,
        lambda client, texts: client.feature_extraction(texts),
    )
    return Client("huggingface_hub (asyncio)", "Python", version("huggingface_hub"), embed, "")


def mistralai() -> Client:
    module = sdk("mistralai", "mistralai.client")

    async def many(client: Any, texts: Any) -> list[Any]:
        return rows_of(await client.embeddings.create_async(model="mistral-embed", inputs=texts))

    async def one(client: Any, text: str) -> Any:
        return (await many(client, text))[0]

    embed = in_tasks(lambda base_url: module.Mistral(server_url=base_url, api_key=KEY), one, many)
    return Client(
        "mistralai", "Python", version("mistralai"), embed, "", f"{NO_DEFAULT}; the base URL is without `/v1`"
    )


def voyageai() -> Client:
    module = sdk("voyageai", "voyageai")
    embed = in_threads(
        lambda base_url: nullcontext(module.Client(api_key=KEY, base_url=base_url)),
        lambda client, text: client.embed([text]).embeddings[0],
        lambda client, texts: client.embed(texts).embeddings,
    )
    return Client("voyageai", "Python", version("voyageai"), embed)


def cohere_v2() -> Client:
    module = sdk("cohere", "cohere")

    async def many(client: Any, texts: list[str]) -> Any:
        answer = await client.embed(model="embed-v4.0", input_type="search_document", texts=texts)
        return answer.embeddings.float_

    async def one(client: Any, text: str) -> Any:
        return (await many(client, [text]))[0]

    embed = in_tasks(lambda base_url: module.AsyncClientV2(api_key=KEY, base_url=base_url), one, many)
    needs = "the model's name and the input type: they have no default, so they are the documentation's"
    return Client("cohere ClientV2", "Python", version("cohere"), embed, "", needs)


def cohere_v1() -> Client:
    module = sdk("cohere", "cohere")
    embed = in_threads(
        lambda base_url: module.Client(api_key=KEY, base_url=base_url),
        lambda client, text: client.embed(texts=[text]).embeddings[0],
        lambda client, texts: client.embed(texts=texts).embeddings,
    )
    return Client("cohere Client", "Python", version("cohere"), embed, "")


def ollama() -> Client:
    module = sdk("ollama", "ollama")

    async def many(client: Any, texts: Any) -> Any:
        return (await client.embed(model="embeddinggemma", input=texts)).embeddings

    async def one(client: Any, text: str) -> Any:
        return (await many(client, text))[0]

    embed = in_tasks(lambda base_url: nullcontext(module.AsyncClient(host=base_url)), one, many)
    return Client("ollama embed", "Python", version("ollama"), embed, "", NO_DEFAULT)


def ollama_older() -> Client:
    module = sdk("ollama", "ollama")

    async def one(client: Any, text: str) -> Any:
        return (await client.embeddings(model="embeddinggemma", prompt=text)).embedding

    async def many(client: Any, texts: list[str]) -> Any:
        return await asyncio.gather(*(one(client, text) for text in texts))  # it takes no list

    embed = in_tasks(lambda base_url: nullcontext(module.AsyncClient(host=base_url)), one, many)
    options = {"normalize": False}
    return Client("ollama embeddings", "Python", version("ollama"), embed, "", NO_DEFAULT, options=options)


def pydantic_ai() -> Client:
    module = sdk("pydantic-ai-slim", "pydantic_ai")
    models = sdk("pydantic-ai-slim", "pydantic_ai.embeddings.openai")
    providers = sdk("pydantic-ai-slim", "pydantic_ai.providers.openai")

    def make(base_url: str) -> Any:
        provider = providers.OpenAIProvider(base_url=base_url, api_key=KEY)
        return nullcontext(module.Embedder(models.OpenAIEmbeddingModel("text-embedding-3-small", provider=provider)))

    async def one(embedder: Any, text: str) -> Any:
        return (await embedder.embed_query(text)).embeddings[0]

    async def many(embedder: Any, texts: list[str]) -> Any:
        return (await embedder.embed_documents(texts)).embeddings

    return Client("pydantic-ai", "Python", version("pydantic-ai-slim"), in_tasks(make, one, many), needs=NO_DEFAULT)


def dspy() -> Client:
    module = sdk("dspy", "dspy")
    embed = in_tasks(
        lambda base_url: nullcontext(module.Embedder("openai/text-embedding-3-small", api_base=base_url, api_key=KEY)),
        lambda embedder, text: embedder.acall(text),
        lambda embedder, texts: embedder.acall(texts),
    )
    return Client("dspy", "Python", version("dspy"), embed, needs=NO_DEFAULT)


#: The clients that work without changes.
WORKING = (
    openai_threads,
    openai_tasks,
    langchain_openai_with_texts,
    llama_index_openai,
    llama_index_tei,
    llama_index_litellm,
    haystack_openai,
    haystack_tei,
    litellm_openai,
    litellm_hosted_vllm,
    litellm_infinity,
    chromadb_openai,
    chromadb_tei,
    huggingface_hub_threads,
    huggingface_hub_tasks,
    mistralai,
    voyageai,
    cohere_v1,
    cohere_v2,
    ollama,
    ollama_older,
    pydantic_ai,
    dspy,
)
