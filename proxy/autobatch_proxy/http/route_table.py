"""Every route, a row each: what it takes, who may use it, and how its clients read errors.

`docs/openapi.json` describes the same routes for clients. A further shape of request is a file in `dialects/`, a row here,
and its description there.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec
from aiohttp.typedefs import Handler

from autobatch_proxy.dialects.error_shapes import JSON_ERRORS, OPENAI_ERRORS, ErrorShape
from autobatch_proxy.dialects.forms import all_embeddings
from autobatch_proxy.dialects.openai import read_openai
from autobatch_proxy.dialects.queries import read_queries
from autobatch_proxy.dialects.ranking import read_rerank
from autobatch_proxy.dialects.tei import read_embed, read_embed_all, read_embed_sparse, read_predict, read_verbatim
from autobatch_proxy.dialects.tei_lists import read_decode, read_similarity, read_tokenize
from autobatch_proxy.dialects.vendors.cohere import COHERE_ERRORS, read_embed_v1, read_embed_v2
from autobatch_proxy.dialects.vendors.ollama import (
    OLDER_OLLAMA_ERRORS,
    OLLAMA_ERRORS,
    read_api_embed,
    read_api_embeddings,
)
from autobatch_proxy.dialects.vendors.reranking import RERANK_ERRORS, read_rerank_v1, read_rerank_v2
from autobatch_proxy.dialects.vendors.weaviate import read_vectors
from autobatch_proxy.http.errors import WrongType
from autobatch_proxy.http.pages.dashboard import Dashboard
from autobatch_proxy.http.pages.docs_page import DocsPage
from autobatch_proxy.http.pages.fleet_routes import FleetRoutes
from autobatch_proxy.http.pages.metrics_page import MetricsPage
from autobatch_proxy.http.pages.status_page import StatusPage
from autobatch_proxy.requests.asked import AnswerForm, Reader
from autobatch_shared.contract.errors import WrongContentType

Tag = Literal["TEI", "OpenAI", "Other shapes", "Operations"]


class Pages(NamedTuple):
    """What answers `GET`."""

    fleet: FleetRoutes
    docs: DocsPage
    status: StatusPage
    metrics: MetricsPage
    dashboard: Dashboard


class Route(msgspec.Struct, frozen=True):
    """One method of one path. HEAD is served where GET is.

    Attributes:
        path: Its path in the syntax of aiohttp's router, which may have parameters.
        tag: The group that it is listed under in the OpenAPI document.
        read: Reads the body of a `POST`; None: the reader of the route that `POST /` stands for.
        page: Returns the handler of a `GET`.
        form: Makes the bodies of its answers, where the reader names no form.
        errors: How its clients read errors; None: as TEI writes them.
        unless_json: Raised where the body is not said to be JSON; None: it need not be.
        needs_key: Whether a key is asked for where there are keys.
        names_model: Whether its clients say which model they want, as `model`.
    """

    method: Literal["GET", "POST"]
    path: str
    tag: Tag
    read: Reader | None = None
    page: Callable[[Pages], Handler] | None = None
    form: AnswerForm | None = None
    errors: ErrorShape | None = None
    unless_json: type[Exception] | None = WrongType
    needs_key: bool = True
    names_model: bool = False


def _vendors(
    path: str, read: Reader, errors: ErrorShape, unless_json: type[Exception] | None = WrongContentType
) -> Route:
    """A route of another vendor's API, whose clients name a model."""
    return Route("POST", path, "Other shapes", read, errors=errors, unless_json=unless_json, names_model=True)


ROUTES = (
    Route("POST", "/embed", "TEI", read_embed),
    Route("POST", "/embed_all", "TEI", read_embed_all),
    Route("POST", "/embed_sparse", "TEI", read_embed_sparse),
    Route("POST", "/predict", "TEI", read_predict),
    Route("POST", "/rerank", "TEI", read_rerank),
    Route("POST", "/similarity", "TEI", read_similarity),
    Route("POST", "/tokenize", "TEI", read_tokenize),
    Route("POST", "/decode", "TEI", read_decode),
    Route("POST", "/vertex", "TEI", read_verbatim),
    Route("POST", "/", "TEI"),
    Route("POST", "/invocations", "TEI"),
    Route("GET", "/info", "TEI", page=lambda its: its.fleet.info),
    Route("POST", "/v1/embeddings", "OpenAI", read_openai, errors=OPENAI_ERRORS, names_model=True),
    Route("POST", "/embeddings", "OpenAI", read_openai, errors=OPENAI_ERRORS, names_model=True),
    Route("GET", "/v1/models", "OpenAI", page=lambda its: its.fleet.models, errors=OPENAI_ERRORS),
    Route("GET", "/v1/models/{model:(?s:.+)}", "OpenAI", page=lambda its: its.fleet.model, errors=OPENAI_ERRORS),
    Route("POST", "/v1/embedding", "Other shapes", read_queries, unless_json=WrongContentType),
    _vendors("/v1/embed", read_embed_v1, COHERE_ERRORS),
    _vendors("/v2/embed", read_embed_v2, COHERE_ERRORS),
    _vendors("/v1/rerank", read_rerank_v1, RERANK_ERRORS),
    _vendors("/v2/rerank", read_rerank_v2, RERANK_ERRORS),
    _vendors("/api/embed", read_api_embed, OLLAMA_ERRORS, unless_json=None),
    _vendors("/api/embeddings", read_api_embeddings, OLDER_OLLAMA_ERRORS, unless_json=None),
    Route("POST", "/vectors", "Other shapes", read_vectors, unless_json=None),
    Route("GET", "/meta", "Other shapes", page=lambda its: its.fleet.info),
    Route("GET", "/.well-known/ready", "Other shapes", page=lambda its: its.fleet.weaviate_ready, needs_key=False),
    Route("GET", "/.well-known/live", "Other shapes", page=lambda its: its.fleet.weaviate_live, needs_key=False),
    Route("GET", "/", "Operations", page=lambda its: its.dashboard.front, needs_key=False),
    Route("GET", "/health", "Operations", page=lambda its: its.fleet.health, needs_key=False),
    Route("GET", "/ping", "Operations", page=lambda its: its.fleet.health, needs_key=False),
    Route("GET", "/status", "Operations", page=lambda its: its.status.page),
    Route("GET", "/dashboard", "Operations", page=lambda its: its.dashboard.page, needs_key=False),
    Route("GET", "/dashboard.json", "Operations", page=lambda its: its.dashboard.view),
    Route("GET", "/ready", "Operations", page=lambda its: its.fleet.ready, needs_key=False),
    Route("GET", "/live", "Operations", page=lambda its: its.fleet.live, needs_key=False),
    Route("GET", "/metrics", "Operations", page=lambda its: its.metrics.page, needs_key=False),
    Route("GET", "/docs", "Operations", page=lambda its: its.docs.redirect, needs_key=False),
    Route("GET", "/docs/", "Operations", page=lambda its: its.docs.page, needs_key=False),
    Route("GET", "/docs/{asset:(?s:.+)}", "Operations", page=lambda its: its.docs.asset, needs_key=False),
    Route("GET", "/api-doc/openapi.json", "Operations", page=lambda its: its.docs.document, needs_key=False),
)

READERS = {route.path: route.read for route in ROUTES if route.read is not None}


def routes(embed_answer: Literal["tei", "embeddings"]) -> list[Route]:
    """Return every route; the row of `/embed` depends on EMBED_ANSWER."""
    if embed_answer == "tei":
        return [*ROUTES]
    return [
        msgspec.structs.replace(route, form=all_embeddings, errors=JSON_ERRORS) if route.path == "/embed" else route
        for route in ROUTES
    ]
