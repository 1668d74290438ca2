"""The page at `/docs/`, which works offline: the API's document, and Swagger UI to read and try it.

All that is served lies in the package's folder `docs`. `docs/swagger-ui` is vendored; its VERSION says from where.
Only the files named here are ever opened.
"""

from importlib.resources import files

from aiohttp import web

PAGE = "index.html"
DOCUMENT = "openapi.json"

_JAVASCRIPT = "text/javascript; charset=utf-8"
_CSS = "text/css; charset=utf-8"

#: What the page is made of: name -> (file, content type).
ASSETS = {
    "favicon-32x32.png": ("swagger-ui/favicon-32x32.png", "image/png"),
    "initializer.js": ("initializer.js", _JAVASCRIPT),
    "page.css": ("page.css", _CSS),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", _JAVASCRIPT),
    "swagger-ui.css": ("swagger-ui/swagger-ui.css", _CSS),
}

# The page loads nothing from other hosts. Swagger UI sets styles on elements and has its pictures in the stylesheet.
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
_SAFE = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
_ASK_AGAIN = _SAFE | {"Cache-Control": "no-cache"}  # small, and changes with each version
_KEEP = _SAFE | {"Cache-Control": "public, max-age=3600"}  # 2 MB; a new version is seen within the hour


class DocsPage:
    """The handlers. A file is read once, when it is first asked for: most workers never show the page."""

    def __init__(self) -> None:
        self._folder = files("autobatch_proxy") / "docs"
        self._bodies: dict[str, bytes] = {}

    async def redirect(self, _request: web.Request) -> web.Response:
        """`GET /docs`: the links of the page start from `/docs/`."""
        return web.Response(status=303, headers={"Location": "/docs/"})

    async def page(self, _request: web.Request) -> web.Response:
        """`GET /docs/`."""
        return self._serve(PAGE, "text/html; charset=utf-8", _ASK_AGAIN)

    async def document(self, _request: web.Request) -> web.Response:
        """`GET /api-doc/openapi.json`."""
        return self._serve(DOCUMENT, "application/json", _ASK_AGAIN)

    async def asset(self, request: web.Request) -> web.Response:
        """`GET /docs/{asset}`; what is not in the list is a 404, with slashes in it or without."""
        asset = ASSETS.get(request.match_info["asset"])
        return web.Response(status=404) if asset is None else self._serve(*asset, _KEEP)

    def _serve(self, file: str, content_type: str, headers: dict[str, str]) -> web.Response:
        if file not in self._bodies:
            self._bodies[file] = self._folder.joinpath(file).read_bytes()
        return web.Response(body=self._bodies[file], headers=headers | {"Content-Type": content_type})
