"""Re-rankers, classifiers, SPLADE and dense layers over HTTP, from small random models, against numpy."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import orjson
import pytest

from autobatch_embedder.app import serving
from autobatch_embedder.model import loaded_model
from tests.support.models import architectures
from tests.support.models.architectures import ENCODERS, Wide, gelu, linear, norm
from tests.support.models.tiny_models import (
    HIDDEN,
    MODULES,
    VOCABULARY,
    tiny_config,
    tiny_tensors,
    write_json,
    write_model,
    write_safetensors,
)
from tests.support.servers.embedder_server import Send, sender, settings

QUERY, TEXTS = "w4 w5", ["w6", "w7 w8 w9", "w10 w11 w12 w13 w14", "w6"]
Serve = Callable[..., AbstractAsyncContextManager[Send]]

CLASSIFIERS: dict[str, dict[str, tuple[int, ...]]] = {
    "bert": {
        "bert__pooler__dense__weight": (HIDDEN, HIDDEN),
        "bert__pooler__dense__bias": (HIDDEN,),
        "classifier__weight": (1, HIDDEN),
        "classifier__bias": (1,),
    },
    "roberta": {
        "classifier__dense__weight": (HIDDEN, HIDDEN),
        "classifier__dense__bias": (HIDDEN,),
        "classifier__out_proj__weight": (1, HIDDEN),
        "classifier__out_proj__bias": (1,),
    },
    "distilbert": {
        "pre_classifier__weight": (HIDDEN, HIDDEN),
        "pre_classifier__bias": (HIDDEN,),
        "classifier__weight": (1, HIDDEN),
        "classifier__bias": (1,),
    },
    "modernbert": {
        "head__dense__weight": (HIDDEN, HIDDEN),
        "head__norm__weight": (HIDDEN,),
        "classifier__weight": (1, HIDDEN),
        "classifier__bias": (1,),
    },
}
CLASSIFIERS["xlm-roberta"] = CLASSIFIERS["mpnet"] = CLASSIFIERS["roberta"]
PREFIX = {"xlm-roberta": "roberta.", "modernbert": "model."}
WORD_HEADS: dict[str, dict[str, tuple[int, ...]]] = {
    "bert": {
        "cls__predictions__transform__dense__weight": (HIDDEN, HIDDEN),
        "cls__predictions__transform__dense__bias": (HIDDEN,),
        "cls__predictions__transform__LayerNorm__weight": (HIDDEN,),
        "cls__predictions__transform__LayerNorm__bias": (HIDDEN,),
        "cls__predictions__bias": (VOCABULARY,),
    },
    "distilbert": {
        "vocab_transform__weight": (HIDDEN, HIDDEN),
        "vocab_transform__bias": (HIDDEN,),
        "vocab_layer_norm__weight": (HIDDEN,),
        "vocab_layer_norm__bias": (HIDDEN,),
        "vocab_projector__bias": (VOCABULARY,),
    },
}


def score(kind: str, w: architectures.Weights, config: dict[str, Any], tokens: Wide) -> Wide:
    """What a classifier of the family makes of a text's tokens."""
    first = tokens[0]
    if kind == "bert":
        return linear(w, "classifier", np.tanh(linear(w, "bert.pooler.dense", first)))
    if kind == "distilbert":
        return linear(w, "classifier", np.maximum(linear(w, "pre_classifier", first), 0))
    if kind == "modernbert":
        pooled = tokens.mean(axis=0) if config["classifier_pooling"] == "mean" else first
        return linear(w, "classifier", norm(w, "head.norm", gelu(linear(w, "head.dense", pooled)), config["norm_eps"]))
    return linear(w, "classifier.out_proj", np.tanh(linear(w, "classifier.dense", first)))


def ids_of(text: str) -> list[int]:
    return [int(word[1:]) for word in text.split()]


@pytest.fixture
def serve(tmp_path: Path, client: aiohttp.ClientSession) -> Serve:
    """Return a context in which a folder is served."""

    @asynccontextmanager
    async def serving_folder(path: Path, **changed: Any) -> AsyncIterator[Send]:
        changed = {"embedder_model_dir": str(path), "embedder_cache_dir": str(tmp_path / "cache")} | changed
        model = loaded_model.load(settings(embedder_threads=1, **changed), None)
        async with serving(settings(**changed), model) as port:
            yield sender(client, port)

    return serving_folder


async def ask(send: Send, path: str, body: Any, status: int = 200) -> Any:
    found, _, answer = await send("POST", path, body)
    assert found == status, answer
    return orjson.loads(answer)


def reranker(path: Path, kind: str, **config: Any) -> tuple[Path, dict[str, Any], architectures.Weights]:
    prefix = PREFIX.get(kind, f"{kind}.")
    tensors = tiny_tensors(kind, prefix, **CLASSIFIERS[kind])
    config = tiny_config(kind, architectures=["XForSequenceClassification"], id2label={"0": "LABEL_0"}, **config)
    return write_model(path, config, tensors, mode=None), config, tensors


@pytest.mark.parametrize("kind", CLASSIFIERS)
async def test_a_reranker_ranks_pairs_by_its_score(serve: Serve, tmp_path: Path, kind: str) -> None:
    path, config, tensors = reranker(tmp_path / "model", kind, classifier_pooling="mean")
    expected = []
    for text in TEXTS:
        first, second = [1, *ids_of(QUERY), 2], [*ids_of(text), 2]
        if kind == "bert":
            tokens = architectures.bert(tensors, config, first + second, [0] * len(first) + [1] * len(second))
        else:
            tokens = ENCODERS[kind](tensors, config, first + second)
        expected.append(float(score(kind, tensors, config, tokens)[0]))

    async with serve(path) as send:
        body = {"query": QUERY, "texts": TEXTS, "raw_scores": True}
        raw = await ask(send, "/rerank", body)
        ranked = await ask(send, "/rerank", {"query": QUERY, "texts": TEXTS, "return_text": True})
        assert raw == await ask(send, "/", body)
        assert {"predictions": [raw]} == await ask(send, "/vertex", {"instances": [body]})
        (single,) = await ask(send, "/predict", {"inputs": [QUERY, TEXTS[1]], "raw_scores": True})

    by_index = {each["index"]: each["score"] for each in raw}
    np.testing.assert_allclose([by_index[place] for place in range(4)], expected, atol=1e-5)
    assert raw == sorted(raw, key=lambda each: (each["score"], each["index"]), reverse=True)
    assert [["index", "text", "score"]] * 4 == [list(each) for each in ranked]
    assert [each["index"] for each in raw] == [each["index"] for each in ranked]
    probabilities = 1 / (1 + np.exp(-np.array([by_index[each["index"]] for each in ranked])))
    np.testing.assert_allclose([each["score"] for each in ranked], probabilities, atol=1e-6)
    assert single["label"] == "LABEL_0"
    assert single["score"] == pytest.approx(expected[1], abs=1e-5)


async def test_a_classifier_names_its_classes_the_best_first(serve: Serve, tmp_path: Path) -> None:
    heads = CLASSIFIERS["roberta"] | {
        "classifier__out_proj__weight": (3, HIDDEN),
        "classifier__out_proj__bias": (3,),
    }
    tensors = tiny_tensors("roberta", "roberta.", **heads)
    labels = {"0": "sad", "1": "glad", "2": "mad"}
    config = tiny_config("roberta", architectures=["RobertaForSequenceClassification"], id2label=labels)
    path = write_model(tmp_path / "model", config, tensors, mode=None)
    rows = [[1, 6, 2], [1, 7, 8, 2, 9, 2]]
    scores = [score("roberta", tensors, config, architectures.bert(tensors, config, row)) for row in rows]

    async with serve(path) as send:
        raw = await ask(send, "/predict", {"inputs": [["w6"], ["w7 w8", "w9"]], "raw_scores": True})
        shares = await ask(send, "/predict", {"inputs": "w6"})
        _, headers, _ = await send("POST", "/predict", {"inputs": [["w6"], ["w7 w8", "w9"]]})
        info = orjson.loads((await send("GET", "/info"))[2])
        for path_, body, text in (
            ("/embed", {"inputs": "w6"}, "Model is not an embedding model"),
            ("/embed_all", {"inputs": "w6"}, "Model is not an embedding model"),
            ("/embed_sparse", {"inputs": "w6"}, "Model is not an embedding model with SPLADE pooling"),
            ("/rerank", {"query": "w6", "texts": ["w7"]}, "model is not a re-ranker model"),
        ):
            answer = await ask(send, path_, body, 424)
            assert {"error": f"Backend error: {text}", "error_type": "Backend"} == answer

    for found, expected in zip(raw, scores, strict=True):
        assert [labels[str(place)] for place in np.argsort(expected)[::-1]] == [each["label"] for each in found]
        np.testing.assert_allclose([each["score"] for each in found], np.sort(expected)[::-1], atol=1e-5)
    powers = np.exp(np.sort(scores[0])[::-1])
    np.testing.assert_allclose([each["score"] for each in shares], powers / powers.sum(), atol=1e-6)
    assert ("9", "9") == (headers["x-compute-tokens"], headers["x-compute-characters"])
    label2id = {label: int(place) for place, label in labels.items()}
    assert {"classifier": {"id2label": labels, "label2id": label2id}} == info["model_type"]


async def test_long_pairs_are_cut_or_refused_as_texts_are(serve: Serve, tmp_path: Path) -> None:
    path, _, _ = reranker(tmp_path / "model", "roberta")
    long = " ".join(["w9"] * 60)

    async with serve(path) as send:
        cut = await ask(send, "/rerank", {"query": "w4", "texts": [long, " ".join(["w9"] * 34)], "raw_scores": True})
        refused = await ask(send, "/rerank", {"query": "w4", "texts": [long], "truncate": False}, 422)
        many = await ask(send, "/rerank", {"query": "w4", "texts": ["w5"] * 33}, 422)
        empty = await ask(send, "/rerank", {"query": "", "texts": ["w5", ""]}, 400)
        left = await ask(send, "/rerank", {"query": "w4", "texts": [long], "truncation_direction": "left"})

    assert cut[0]["score"] == pytest.approx(cut[1]["score"])
    assert "Input validation error: `inputs` must have less than 38 tokens. Given: 64" == refused["error"]
    assert "batch size 33 > maximum allowed batch size 32" == many["error"]
    assert {"error": "Input validation error: `inputs` cannot be empty", "error_type": "Empty"} == empty
    assert len(left) == 1


@pytest.mark.parametrize(("kind", "activation"), [*((kind, None) for kind in WORD_HEADS), ("bert", "log1p_relu")])
async def test_splade_scores_words(serve: Serve, tmp_path: Path, kind: str, activation: str | None) -> None:
    tensors = tiny_tensors(kind, f"{kind}.", **WORD_HEADS[kind])
    config = tiny_config(kind, architectures=["XForMaskedLM"])
    path = write_model(tmp_path / "model", config, tensors, mode=None)
    names = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias")
    if kind == "distilbert":
        names = ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias")
    expected = []
    for row in ([1, 6, 2], [1, 7, 8, 9, 2]):
        hidden = norm(tensors, names[1], gelu(linear(tensors, names[0], ENCODERS[kind](tensors, config, row))), 1e-12)
        logits = hidden @ tensors[f"{kind}.embeddings.word_embeddings.weight"].T + tensors[names[2]]
        scores = np.log1p(np.maximum(logits, 0)).max(axis=0)
        expected.append(np.log1p(scores) if activation else scores)
    if activation:
        splade = {"path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling"}
        write_json(path / "modules.json", [MODULES[0], splade])
        write_json(path / "1_SpladePooling" / "config.json", {"activation_function": activation})

    async with serve(path, embedder_pooling=None if activation else "splade") as send:
        sparse = await ask(send, "/embed_sparse", {"inputs": ["w6", "w7 w8 w9"]})
        assert sparse == await ask(send, "/", {"inputs": ["w6", "w7 w8 w9"]})
        whole = await ask(send, "/embed", {"inputs": "w6", "normalize": False})
        refused = [await ask(send, route, {"inputs": "w6"}, 424) for route in ("/embed", "/embed_all")]
        info = orjson.loads((await send("GET", "/info"))[2])

    for found, scores in zip(sparse, expected, strict=True):
        assert np.flatnonzero(scores).tolist() == [each["index"] for each in found]
        np.testing.assert_allclose([each["value"] for each in found], scores[scores > 0], atol=1e-5)
    np.testing.assert_allclose(whole, expected[:1], atol=1e-5)
    assert ["Backend error: `normalize` is not available for SPLADE models"] == [each["error"] for each in refused[:1]]
    assert "Backend error: `embed_all` is not available for SPLADE models" == refused[1]["error"]
    assert {"embedding": {"pooling": "splade"}} == info["model_type"]


async def test_dense_layers_come_between_pooling_and_dimensions(serve: Serve, tmp_path: Path) -> None:
    config, tensors = tiny_config("bert"), tiny_tensors("bert")
    path = write_model(tmp_path / "model", config, tensors, mode="cls_token")
    dense = {"type": "sentence_transformers.models.Dense", "path": "2_Dense", "idx": 2, "name": "2"}
    write_json(path / "modules.json", [*MODULES[:2], dense, MODULES[2]])
    write_json(path / "2_Dense" / "config.json", {"activation_function": "torch.nn.modules.activation.Tanh"})
    weight = np.random.default_rng(3).normal(0, 1, (5, HIDDEN)).astype(np.float32)
    write_safetensors(path / "2_Dense" / "model.safetensors", {"linear.weight": weight})
    prompts = {"prompts": {"query": "w20 "}}
    write_json(path / "config_sentence_transformers.json", prompts)

    async with serve(path) as send:
        found = await ask(send, "/embed", {"inputs": "w6", "normalize": False})
        cut = await ask(send, "/embed", {"inputs": "w6", "dimensions": 3})
        prompted = await ask(send, "/embed", {"inputs": "w6", "normalize": False, "prompt_name": "query"})
        too_many = await ask(send, "/embed", {"inputs": "w6", "dimensions": 6}, 422)

    expected = np.tanh(weight @ architectures.bert(tensors, config, [1, 6, 2])[0])
    np.testing.assert_allclose(found, [expected], atol=1e-5)
    np.testing.assert_allclose(cut, [expected[:3] / np.linalg.norm(expected[:3])], atol=1e-5)
    with_prompt = np.tanh(weight @ architectures.bert(tensors, config, [1, 20, 6, 2])[0])
    np.testing.assert_allclose(prompted, [with_prompt], atol=1e-5)
    assert "smaller than the maximum embedding dimension" in too_many["error"]


async def test_a_vector_has_the_dimensions_of_the_folder_unless_a_client_asks_for_others(
    serve: Serve, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "model", tiny_config("bert"), tiny_tensors("bert"))
    write_json(path / "config_sentence_transformers.json", {"truncate_dim": 3})

    async with serve(path) as send:
        cut = await ask(send, "/embed", {"inputs": "w6"})
        assert cut == await ask(send, "/embed", {"inputs": "w6", "dimensions": 3})
        whole = await ask(send, "/embed", {"inputs": "w6", "dimensions": HIDDEN, "normalize": False})
        openai = await ask(send, "/v1/embeddings", {"input": "w6", "model": "any"})

    assert (3, HIDDEN) == (len(cut[0]), len(whole[0]))
    np.testing.assert_allclose(cut[0], np.array(whole[0][:3]) / np.linalg.norm(whole[0][:3]), atol=1e-6)
    assert cut[0] == openai["data"][0]["embedding"]
