"""The routes of the documentation page, over HTTP."""

from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from autobatch_proxy.http.pages.docs_page import ASSETS, DocsPage
from autobatch_proxy.http.route_table import ROUTES, Pages

DOCS = files("autobatch_proxy") / "docs"
SERVED = {
    "/docs/": ("index.html", "text/html; charset=utf-8"),
    "/api-doc/openapi.json": ("openapi.json", "application/json"),
    **{f"/docs/{name}": asset for name, asset in ASSETS.items()},
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    pages = Pages(
        fleet=cast("Any", None),
        docs=DocsPage(),
        status=cast("Any", None),
        metrics=cast("Any", None),
        dashboard=cast("Any", None),
    )
    for route in ROUTES:
        if route.page is not None and route.path.startswith(("/docs", "/api-doc")):
            app.router.add_get(route.path, route.page(pages))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
        yield session
    await runner.cleanup()


@pytest.mark.parametrize("path", SERVED)
async def test_a_file_is_served_with_its_type(http: aiohttp.ClientSession, path: str) -> None:
    file, content_type = SERVED[path]
    body = DOCS.joinpath(file).read_bytes()

    async with http.get(path) as answer:
        assert (200, content_type) == (answer.status, answer.headers["Content-Type"])
        assert body == await answer.read()
    async with http.head(path) as answer:
        assert (200, content_type) == (answer.status, answer.headers["Content-Type"])
        assert len(body) == int(answer.headers["Content-Length"])
        assert b"" == await answer.read()


async def test_the_page_is_where_its_links_start(http: aiohttp.ClientSession) -> None:
    async with http.get("/docs?here", allow_redirects=False) as answer:
        assert (303, "/docs/") == (answer.status, answer.headers["Location"])


async def test_what_does_not_change_may_be_kept(http: aiohttp.ClientSession) -> None:
    async with http.head("/docs/swagger-ui-bundle.js") as bundle, http.head("/docs/") as page:
        assert "public, max-age=3600" == bundle.headers["Cache-Control"]
        assert "no-cache" == page.headers["Cache-Control"]


async def test_the_browser_is_told_to_ask_no_other_host(http: aiohttp.ClientSession) -> None:
    async with http.head("/docs/") as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    ["nothing", "index.html", "openapi.json", "VERSION", "..%2Findex.html", "..%2F..%2Fapp.py", "swagger-ui%2FLICENSE"],
)
async def test_nothing_else_is_served(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(f"/docs/{path}") as answer:
        assert (404, b"") == (answer.status, await answer.read())
