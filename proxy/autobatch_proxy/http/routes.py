"""Which handler has which path and method, and what everybody else is told. Refusals are TEI's: a status, no words.

1. A key is asked for before the method is looked at. Whoever asks for an unknown path needs none.
2. `OPTIONS` is answered at every path, as a browser's preflight, and says what the path has.
3. A path is taken as it was sent: `/%65mbed` is not `/embed`. Only names in it are decoded, such as a model's.
"""

from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.dialects.error_shapes import as_openai
from autobatch_proxy.http.answer_headers import PREFLIGHT
from autobatch_proxy.http.answers import JSON

#: Open to everybody, with what is below those that end with a slash; and so is `GET /`, which is `/health`.
OPEN = ("/health", "/ping", "/metrics", "/docs", "/docs/", "/api-doc/openapi.json", "/.well-known/")
UNKNOWN_PATH = "/{path:(?s:.*)}"
UNKNOWN_OPENAI_PATH = "/v1/{path:(?s:.*)}"
#: Where errors are read as OpenAI's are.
OPENAI = ("/v1/embeddings", "/embeddings", "/v1/models", "/v1/models/", UNKNOWN_OPENAI_PATH)
GET = ("GET", "HEAD")


class PathAsSent(web.PlainResource):
    """A path without names in it, which another spelling does not reach."""

    async def resolve(self, request: web.Request) -> tuple[UrlMappingMatchInfo | None, set[str]]:
        """Return the route, or None where the path is another."""
        route = self._routes.get(request.method, self._any_route)
        if route is None or request.rel_url.raw_path != self._path:
            return None, set()
        return UrlMappingMatchInfo({}, route), self._allowed_methods  # what the class above does costs 0.9 us more


def add_routes(app: web.Application, posts: Mapping[str, Handler], gets: Mapping[str, Handler], access: Access) -> None:
    """Wire the handlers of `POST` and of `GET` at each path."""
    for path in dict.fromkeys((*posts, *gets)):
        handlers = {"POST": posts[path]} if path in posts else {}
        if path in gets:
            handlers |= dict.fromkeys(GET, gets[path])
        allow = {"Allow": ",".join(handlers)}
        resource = _resource(app, path)
        for method, handler in (*handlers.items(), ("OPTIONS", _preflight(allow)), ("*", _refuse(405, path, allow))):
            needs_key = method != "OPTIONS" and not (_is_among(OPEN, path) or (path == "/" and method in GET))
            said = allow if method == "*" else {}
            guarded = _guarded(handler, path, access, said) if needs_key else handler
            resource.add_route(method, guarded, expect_handler=_continue)
    for path in (UNKNOWN_OPENAI_PATH, UNKNOWN_PATH):
        unknown = app.router.add_resource(path)
        unknown.add_route("OPTIONS", _preflight({}), expect_handler=_continue)
        unknown.add_route("*", _refuse(404, path, {}), expect_handler=_continue)


def _resource(app: web.Application, path: str) -> web.Resource:
    if "{" in path:
        return app.router.add_resource(path)
    resource = PathAsSent(path)
    app.router.register_resource(resource)
    return resource


def _preflight(allow: Mapping[str, str]) -> Handler:
    """What a browser asks before it sends a request of another origin's page."""
    headers = {**PREFLIGHT, **allow}

    async def preflight(_request: web.Request) -> web.StreamResponse:
        return web.Response(headers=headers)

    return preflight


async def _continue(request: web.Request) -> None:
    """Ask a client that waits for its body. What else it expects is not looked at, as the upstream does it."""
    if request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer is sent yet


def _guarded(handler: Handler, path: str, access: Access, headers: Mapping[str, str]) -> Handler:
    """The same handler, for those with a key; the others are told so with these headers."""
    if access.is_open:
        return handler
    refuse = _refuse(401, path, headers)

    async def guarded(request: web.Request) -> web.StreamResponse:
        if access.is_granted(request.headers.get("Authorization")):
            return await handler(request)
        return await refuse(request)

    return guarded


def _refuse(status: int, path: str, headers: Mapping[str, str]) -> Handler:
    body = as_openai(status, b"") if _is_among(OPENAI, path) else None
    all_headers = {**headers, **(JSON if body else {})}

    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=all_headers)

    return refuse


def _is_among(paths: tuple[str, ...], path: str) -> bool:
    return any(path == each or (each.endswith("/") and path.startswith(each)) for each in paths)
