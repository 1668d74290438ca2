"""The model that a request is for, where its path or a header says so: `POST /BAAI/bge-m3/embed`, or `x-model: BAAI/bge-m3`.

1. A path is looked up among the routes first. Only one that is none of them may begin with a model's name.
2. Of several names the longest counts. A name may be sent with `%2F` for its slashes.
3. Below a name there is what there is without it: the same routes, methods, keys and errors.
"""

from collections.abc import Callable, Container, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from autobatch_proxy.dialects.error_shapes import ErrorShape
from autobatch_proxy.dialects.model_check import unknown
from autobatch_proxy.http.answers import error_response
from autobatch_proxy.http.headers import CommonHeaders
from autobatch_proxy.models.served_models import Models
from autobatch_shared.contract.errors import AutobatchError, UnknownModel
from autobatch_shared.contract.model_names import NAME_LENGTH_MAX

MODEL = web.RequestKey("model", str)  # the model's name
HEADER = "x-model"
PATH_LENGTH_MAX = 1 + 3 * NAME_LENGTH_MAX  # of a slash and a name that is sent as `%41` for each of its letters


class Below(NamedTuple):
    """A path below a model's name.

    Attributes:
        model: The name, decoded.
        path: The rest as it was sent, from its slash on.
    """

    model: str
    path: str


def names_of(request: web.Request) -> list[str]:
    """Return the models that a request names in its path and its header."""
    names = (request.get(MODEL), request.headers.get(HEADER))
    return [name for name in names if name is not None]


def split(path: str, names: Container[str]) -> Below | None:
    """Return what a path says that begins with one of these names; None for another path.

    Args:
        path: As it was sent, from its first slash on.
        names: The models' names.
    """
    end = len(path) if len(path) <= PATH_LENGTH_MAX else path.rfind("/", 0, PATH_LENGTH_MAX + 1)
    while end > 0:
        name = unquote(path[1:end])
        if name in names:
            return Below(name, path[end:] or "/")
        end = path.rfind("/", 0, end)
    return None


class RouteShapes:
    """How the clients of each route read errors; of `/v1/models/{model}` whatever stands for the braces.

    Args:
        shapes: By the route's path; None: as TEI writes them.
    """

    def __init__(self, shapes: Mapping[str, ErrorShape | None]) -> None:
        self._whole = {path: shape for path, shape in shapes.items() if "{" not in path}
        self._begun = {path.partition("{")[0]: shape for path, shape in shapes.items() if "{" in path}

    def __contains__(self, path: object) -> bool:
        return path in self._whole or self._beginning(str(path)) in self._begun

    def of(self, path: str) -> ErrorShape | None:
        """Return it for a path; None also for one that is no route's."""
        return self._whole.get(path) or self._begun.get(self._beginning(path))

    def _beginning(self, path: str) -> str:
        return next((begun for begun in self._begun if path.startswith(begun) and path != begun), "")


def unknown_in(path: str, routes: Container[str]) -> Below | None:
    """Return what a path says that ends with one of these routes' paths: it begins with a name that no model has."""
    start = path.find("/", 1)
    while 0 < start <= PATH_LENGTH_MAX:
        if path[start:] in routes:
            return Below(unquote(path[1:start]), path[start:])
        start = path.find("/", start + 1)
    return None


class ModelPaths:
    """Serves the paths that are no route.

    Args:
        models: The models that this worker can ask.
        app: Has the routes.
        common: Gives each request its id.
        shapes: How the clients of each route read errors.
        on_refused: Is told of a request for a model that is unknown: status, reason.
    """

    def __init__(
        self,
        models: Models,
        app: web.Application,
        common: CommonHeaders,
        shapes: RouteShapes,
        on_refused: Callable[[int, str], None],
    ) -> None:
        self._models = models
        self._app = app
        self._common = common
        self._shapes = shapes
        self._on_refused = on_refused

    def handler(self, refuse: Handler) -> Handler:
        """Return the handler of these paths: what is below a model's name goes to its route, the rest is refused."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if MODEL in request or not self._models.are_named:
                return await refuse(request)
            path = request.rel_url.raw_path
            if below := split(path, self._models.names):
                return await self._go_below(request, below)
            if missing := unknown_in(path, self._shapes):
                return self._refused(unknown(missing.model), self._shapes.of(missing.path))
            return await refuse(request)

        return handle

    def _refused(self, error: AutobatchError, shape: ErrorShape | None) -> web.Response:
        answer = error_response(error, shape)
        self._on_refused(answer.status, error.code)
        return answer

    async def _go_below(self, request: web.Request, below: Below) -> web.StreamResponse:
        try:
            self._models.directory.named(below.model)
        except UnknownModel as error:  # an alias of two models
            return self._refused(error, self._shapes.of(below.path))
        self._common.request_id(request)  # both have the same one
        url = URL.build(path=below.path, query_string=request.rel_url.raw_query_string, encoded=True)
        routed = request.clone(rel_url=url)
        routed[MODEL] = below.model
        match = await self._app.router.resolve(routed)
        match.add_app(self._app)
        match.freeze()
        routed._match_info = match  # noqa: SLF001  # what aiohttp's router does
        return await match.handler(routed)
