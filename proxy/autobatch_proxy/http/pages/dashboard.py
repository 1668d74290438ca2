"""`/dashboard`: one page that draws the fleet, and `/dashboard.json`, which it asks for every second.

1. The page has no secret in it and needs no key; what it shows does. A key that is typed into it stays in its tab.
2. It is one document that loads nothing, and its policy names its own style and script by their hashes.
3. All who look at one worker share its looks at Redis, one a second.
"""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from autobatch_proxy.http.answers import JSON, error_response
from autobatch_proxy.http.pages.shared_look import SharedLook
from autobatch_shared.contract.errors import AutobatchError
from autobatch_shared.redis.watching.activities import Activities
from autobatch_shared.watching.viewing import view_of

LOOK_EVERY_S = 0.9  # below the page's second, so that each of its requests finds something new
NEWEST = {"Cache-Control": "no-store"}

_encode = msgspec.json.Encoder().encode


class Dashboard:
    """The handlers.

    Args:
        activities: What the fleet's processes did lately.
        health: Answers who asks `/` for the system's health.
    """

    def __init__(self, activities: Activities, health: Handler) -> None:
        self._activities = activities
        self._health = health
        self._shared = SharedLook(self._look, LOOK_EVERY_S)

    async def front(self, request: web.Request) -> web.StreamResponse:
        """`GET /`: the page for browsers, which are the ones that ask for HTML by name; health for everything else."""
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=303, headers={"Location": "/dashboard"} | NEWEST)
        return await self._health(request)

    async def page(self, _request: web.Request) -> web.Response:
        """`GET /dashboard`."""
        body, headers = _document()
        return web.Response(body=body, headers=headers)

    async def view(self, _request: web.Request) -> web.Response:
        """`GET /dashboard.json`: the view of the whole fleet, a second old at most; 503 while Redis cannot be asked."""
        try:
            return web.Response(body=await self._shared.seen(), headers=JSON | NEWEST)
        except AutobatchError as error:
            return error_response(error)

    async def _look(self) -> bytes:
        return _encode(view_of(await self._activities.look()))


def _document() -> tuple[bytes, dict[str, str]]:
    """Return the page and its headers; most workers never show it, so it is read when it is asked for."""
    folder = files("autobatch_proxy") / "dashboard"
    style, script, page = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js", "page.html")
    )
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return page.replace("{{style}}", style).replace("{{script}}", script).encode(), headers


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
