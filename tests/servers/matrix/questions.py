"""What each route of the route table is asked, and where the vectors are in its answer."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autobatch_proxy.http.route_table import ROUTES, Route

Json = Any
TEXTS = ["river stone", "a window of paper"]
MODEL = "minilm"


class RouteQuestion(NamedTuple):
    """One request.

    Attributes:
        body: None: it is a `GET`.
        vectors: Returns the vectors of an answer, of TEXTS in order; None: it has none.
        texts: Those whose vectors are in the answer.
        path: Where the route's has a parameter.
    """

    body: Json = None
    vectors: Callable[[Json], Sequence[Json]] | None = None
    texts: Sequence[str] = TEXTS
    path: str = ""


def _rows(body: Json) -> Sequence[Json]:
    return list(body)


def _in_data(body: Json) -> Sequence[Json]:
    return [each["embedding"] for each in body["data"]]


def _of_length_1(vector: Json) -> Json:
    """This route's vectors are as the model computes them."""
    length = math.hypot(*vector)
    return [each / length for each in vector]


PAGE = RouteQuestion()
RANKED = {"query": TEXTS[0], "documents": TEXTS, "model": MODEL}
#: By method and path of the route table.
QUESTIONS = {
    "POST /embed": RouteQuestion({"inputs": TEXTS}, _rows),
    "POST /embed_all": RouteQuestion({"inputs": TEXTS}),
    "POST /embed_sparse": RouteQuestion({"inputs": TEXTS}),
    "POST /predict": RouteQuestion({"inputs": [[text] for text in TEXTS]}),
    "POST /rerank": RouteQuestion({"query": TEXTS[0], "texts": TEXTS}),
    "POST /similarity": RouteQuestion({"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS}}),
    "POST /tokenize": RouteQuestion({"inputs": TEXTS}),
    "POST /decode": RouteQuestion({"ids": [[101, 4937, 102]]}),
    "POST /vertex": RouteQuestion({"instances": [{"inputs": text} for text in TEXTS]}),
    "POST /": RouteQuestion({"inputs": TEXTS}, _rows),
    "POST /invocations": RouteQuestion({"inputs": TEXTS}, _rows),
    "POST /v1/embeddings": RouteQuestion({"input": TEXTS, "model": MODEL}, _in_data),
    "POST /embeddings": RouteQuestion({"input": TEXTS, "model": MODEL}, _in_data),
    "POST /v1/embedding": RouteQuestion(
        [{"query": text} for text in TEXTS], lambda body: [each["embedding"] for each in body]
    ),
    "POST /v1/embed": RouteQuestion({"texts": TEXTS, "model": MODEL}, lambda body: body["embeddings"]),
    "POST /v2/embed": RouteQuestion(
        {"texts": TEXTS, "model": MODEL, "input_type": "search_document", "embedding_types": ["float"]},
        lambda body: body["embeddings"]["float"],
    ),
    "POST /v1/rerank": RouteQuestion(RANKED),
    "POST /v2/rerank": RouteQuestion(RANKED),
    "POST /api/embed": RouteQuestion({"input": TEXTS, "model": MODEL}, lambda body: body["embeddings"]),
    "POST /api/embeddings": RouteQuestion(
        {"prompt": TEXTS[0], "model": MODEL}, lambda body: [_of_length_1(body["embedding"])], TEXTS[:1]
    ),
    "POST /vectors": RouteQuestion({"texts": TEXTS}, lambda body: body["vectors"]),
    "GET /v1/models/{model:(?s:.+)}": RouteQuestion(path="/v1/models/{name}"),
    "GET /docs/{asset:(?s:.+)}": RouteQuestion(path="/docs/swagger-ui.css"),
}


def name_of(route: Route) -> str:
    """Return the name of a route's row: its method and path."""
    return f"{route.method} {route.path.replace(':(?s:.+)', '')}"


def question_for(route: Route) -> RouteQuestion:
    """Return what the route is asked."""
    question = QUESTIONS.get(f"{route.method} {route.path}", PAGE)
    assert (question.body is None) == (route.method == "GET"), f"{name_of(route)} needs a question"
    return question._replace(path=question.path or route.path)


ROWS = [name_of(route) for route in ROUTES]
