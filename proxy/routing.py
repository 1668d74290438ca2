"""Which handler has which path and method, and what everybody else is told. Refusals are TEI's: a status, no words.

1. A key is asked for before the method is looked at. Whoever asks for an unknown path needs none.
2. `OPTIONS` is answered at every path, as a browser's preflight.
"""

from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.access import Access
from proxy.answers import JSON
from proxy.common_headers import PREFLIGHT
from proxy.openai_errors import as_openai

#: Open to everybody, with what is below those that end with a slash; and so is `GET /`, which is `/health`.
OPEN = ("/health", "/ping", "/metrics", "/docs", "/docs/", "/api-doc/openapi.json", "/.well-known/")
#: Where errors are read as OpenAI's are.
OPENAI = ("/v1/", "/embeddings")

UNKNOWN_PATH = "/{path:(?s:.*)}"
UNKNOWN_OPENAI_PATH = "/v1/{path:(?s:.*)}"
GET = ("GET", "HEAD")


def add_routes(app: web.Application, posts: Mapping[str, Handler], gets: Mapping[str, Handler], access: Access) -> None:
    """Wire the handlers of `POST` and of `GET` at each path."""
    for path in dict.fromkeys((*posts, *gets)):
        handlers = {"POST": posts[path]} if path in posts else {}
        if path in gets:
            handlers |= dict.fromkeys(GET, gets[path])
        wrong_method = _refuse(405, path, {"Allow": ",".join(handlers)})
        for method, handler in (*handlers.items(), ("OPTIONS", preflight), ("*", wrong_method)):
            needs_key = method != "OPTIONS" and not (_is_among(OPEN, path) or (path == "/" and method in GET))
            allow = {"Allow": ",".join(handlers)} if method == "*" else {}
            app.router.add_route(method, path, _guarded(handler, path, access, allow) if needs_key else handler)
    app.router.add_route("OPTIONS", UNKNOWN_PATH, preflight)
    for path in (UNKNOWN_OPENAI_PATH, UNKNOWN_PATH):
        app.router.add_route("*", path, _refuse(404, path, {}))


async def preflight(_request: web.Request) -> web.Response:
    """What a browser asks before it sends a request of another origin's page."""
    return web.Response(headers=PREFLIGHT)


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
