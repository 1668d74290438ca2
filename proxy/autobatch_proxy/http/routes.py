"""Wire the routes of the table, and refuse what is none of them. Refusals are TEI's: a status without a body.

1. The key is checked before the method. An unknown path needs none.
2. `OPTIONS` is answered at every path, as a browser's preflight, and says what the path has.
3. A path is taken as it was sent: `/%65mbed` is not `/embed`. Only names in it are decoded, such as a model's.
4. A `POST` of a path without names has a shortcut: its handler is known without the router.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_urldispatcher import AbstractRoute, UrlMappingMatchInfo

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.dialects.error_shapes import OPENAI_ERRORS, ErrorShape
from autobatch_proxy.http.answers import JSON
from autobatch_proxy.http.headers import PREFLIGHT
from autobatch_proxy.http.plain_requests import PlainRoute
from autobatch_proxy.http.route_table import Route

UNKNOWN_PATH = "/{path:(?s:.*)}"
UNKNOWN_OPENAI_PATH = "/v1/{path:(?s:.*)}"
METHODS = {"POST": ("POST",), "GET": ("GET", "HEAD")}


class Shortcut(NamedTuple):
    """What the router finds for a `POST` at one path, and what answers the plain ones of its requests."""

    handler: Handler
    match: UrlMappingMatchInfo
    plain: PlainRoute | None = None


#: Is told of a request that was refused before its handler: route, status, reason.
OnRefused = Callable[[str, int, str], None]
NO_ROUTE = "none"  # of paths that are unknown: their number has no bound
REASONS = {401: "unauthorized", 404: "unknown_path", 405: "method_not_allowed"}
SHORTCUTS: web.AppKey[dict[str, Shortcut]] = web.AppKey("shortcuts", dict)  # by path


class PathAsSent(web.PlainResource):
    """A path without names in it, which another spelling does not reach."""

    async def resolve(self, request: web.Request) -> tuple[UrlMappingMatchInfo | None, set[str]]:
        """Return the route, or None where the path is another."""
        route = self._routes.get(request.method, self._any_route)
        if route is None or request.rel_url.raw_path != self._path:
            return None, set()
        return UrlMappingMatchInfo({}, route), self._allowed_methods  # the parent class takes 0.9 us more


def add_routes(
    app: web.Application,
    routes: Sequence[Route],
    handler_of: Callable[[Route], Handler],
    access: Access,
    elsewhere: Callable[[Handler], Handler],
    on_refused: OnRefused,
    plain_of: Callable[[Route], PlainRoute | None],
) -> None:
    """Wire the handler of each route, and what other methods and paths are answered.

    Args:
        app: Is wired.
        routes: The routes.
        handler_of: Returns the handler of one.
        access: Knows who may ask.
        elsewhere: Returns the handler of paths that are no route, given the one that refuses them.
        on_refused: Is told of each refusal that is made here.
        plain_of: Returns what answers the plain requests of a route.
    """
    shortcuts = app[SHORTCUTS] = {}
    for path in dict.fromkeys(route.path for route in routes):
        own = [route for route in routes if route.path == path]
        errors = own[0].errors
        handlers = {method: (handler_of(route), route) for route in own for method in METHODS[route.method]}
        allow = {"Allow": ",".join(handlers)}
        refuse = _refuse(405, errors, allow, partial(on_refused, path))
        unauthorized = _refuse(401, errors, {}, partial(on_refused, path))
        resource = _resource(app, path)
        for method, (handler, route) in handlers.items():
            guarded = _guarded(handler, unauthorized, access) if route.needs_key else handler
            found = resource.add_route(method, guarded, expect_handler=_continue)
            if method == "POST" and isinstance(resource, PathAsSent):
                shortcuts[path] = Shortcut(guarded, _match(found, app), plain_of(route))
        resource.add_route("OPTIONS", _preflight(allow), expect_handler=_continue)
        needs_key = any(route.needs_key for route in own)
        if needs_key:
            refuse = _guarded(refuse, _refuse(401, errors, allow, partial(on_refused, path)), access)
        resource.add_route("*", refuse, expect_handler=_continue)
    for path, errors in ((UNKNOWN_OPENAI_PATH, OPENAI_ERRORS), (UNKNOWN_PATH, None)):
        unknown = app.router.add_resource(path)
        unknown.add_route("OPTIONS", elsewhere(_preflight({})), expect_handler=_continue)
        unknown.add_route(
            "*", elsewhere(_refuse(404, errors, {}, partial(on_refused, NO_ROUTE))), expect_handler=_continue
        )


def _resource(app: web.Application, path: str) -> web.Resource:
    if "{" in path:
        return app.router.add_resource(path)
    resource = PathAsSent(path)
    app.router.register_resource(resource)
    return resource


def _match(found: AbstractRoute, app: web.Application) -> UrlMappingMatchInfo:
    match = UrlMappingMatchInfo({}, found)
    match.add_app(app)
    match.freeze()
    return match


def _preflight(allow: Mapping[str, str]) -> Handler:
    """What a browser asks before it sends a request of another origin's page."""
    headers = {**PREFLIGHT, **allow}

    async def preflight(_request: web.Request) -> web.StreamResponse:
        return web.Response(headers=headers)

    return preflight


async def _continue(request: web.Request) -> None:
    """Ask a client that waits for its body. Other expectations are ignored, as the upstream does."""
    if request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer is sent yet


def _guarded(handler: Handler, refuse: Handler, access: Access) -> Handler:
    """The same handler for requests with a key; the others are refused."""
    if access.is_open:
        return handler

    async def guarded(request: web.Request) -> web.StreamResponse:
        if access.is_granted(request.headers.get("Authorization")):
            return await handler(request)
        return await refuse(request)

    return guarded


def _refuse(
    status: int, errors: ErrorShape | None, headers: Mapping[str, str], note: Callable[[int, str], None]
) -> Handler:
    body = errors.write(status, b"") if errors is not None and errors.fills_refusals else None
    all_headers = {**headers, **(JSON if body else {})}

    async def refuse(_request: web.Request) -> web.StreamResponse:
        note(status, REASONS[status])
        return web.Response(status=status, body=body, headers=all_headers)

    return refuse
