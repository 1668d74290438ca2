"""HTTP about the routes: methods, paths, CORS, the GET routes, and POST / with its alias."""

from collections.abc import Iterator

from tests.parity.cases.case import JSON, Case, Facts, Headers, Json, bare, post, posts

POSTS = (
    "/embed",
    "/embed_all",
    "/embed_sparse",
    "/predict",
    "/rerank",
    "/similarity",
    "/tokenize",
    "/decode",
    "/vertex",
)
GETS = ("/info", "/health", "/ping", "/metrics")
ORIGIN: Headers = (("origin", "https://example.org"),)
PREFLIGHT: Headers = (
    *ORIGIN,
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "content-type,authorization"),
)

UNKNOWN = (
    "/nothing",
    "/embed/",
    "/info/",
    "/health/",
    "/Embed",
    "/EMBED",
    "//embed",
    "/embed//",
    "/%65mbed",
    "/embed%2F",
    "/v1",
    "/v1/",
    "/v1/embeddings/",
    "/v1/completions",
    "/embed/all",
    "/docs/nothing/at/all",
    "/favicon.ico",
    "/state",
)

ALIASED: dict[str, Json] = {
    "text": {"inputs": "hello world"},
    "list": {"inputs": ["hello", "world"]},
    "a pair": {"inputs": [["a", "b"]]},
    "sentences": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    "a query": {"query": "q", "texts": ["a", "b"]},
    "options": {"inputs": "hello", "truncate": True, "dimensions": 1, "raw_scores": True},
    "empty text": {"inputs": ""},
    "null": {"inputs": None},
}


def methods() -> Iterator[Case]:
    """Methods that a route does not have, and HEAD and OPTIONS."""
    for path in POSTS:
        for method in ("GET", "HEAD", "PUT"):
            yield bare(method, path)
    for method in ("DELETE", "PATCH"):
        yield bare(method, "/embed")
    for path in (*GETS, "/"):
        own = {"/metrics": "metrics", "/info": "info"}.get(path)
        yield bare("GET", path, differs=own)
        yield bare("HEAD", path, differs=own)
        yield bare("DELETE", path)
        yield bare("PUT", path)
    for path in GETS:
        yield post("is no POST route", path, {"inputs": "a"})
    yield bare("GET", "/invocations")
    yield bare("HEAD", "/invocations")


def cors() -> Iterator[Case]:
    """A browser's preflight requests."""
    for path in ("/embed", "/", "/v1/embeddings", "/health", "/info", "/metrics", "/nothing", "/%65mbed", "/docs"):
        differs = "docs" if path == "/docs" else None
        yield bare("OPTIONS", path, differs=differs)
        yield bare("OPTIONS", path, PREFLIGHT, name="preflight", differs=differs)
    yield bare("OPTIONS", "/embed", ORIGIN, name="with an origin only")
    yield bare("OPTIONS", "/embed", (*PREFLIGHT, ("access-control-request-private-network", "true")), name="private")
    yield bare("GET", "/info", ORIGIN, name="with an origin", differs="info")
    yield bare("GET", "/nothing", ORIGIN, name="with an origin")
    yield bare("GET", "/embed", ORIGIN, name="with an origin")
    yield post("with an origin", "/embed", {"inputs": "a"}, (*JSON, *ORIGIN))
    yield post("an error with an origin", "/embed", {"inputs": ""}, (*JSON, *ORIGIN))
    yield post("with the origin null", "/embed", {"inputs": "a"}, (*JSON, ("origin", "null")))


def paths() -> Iterator[Case]:
    """Unknown paths, and what may follow a path."""
    for path in UNKNOWN:
        yield bare("GET", path)
        # If the upstream has pages, they answer: 405.
        yield post("is unknown", path, {"inputs": "a"}, differs="docs" if path.startswith("/docs/") else None)
    yield bare("HEAD", "/nothing")
    yield bare("DELETE", "/nothing")
    yield bare("GET", "/info?verbose=1", differs="info")
    yield bare("GET", "/health?")
    yield bare("GET", "/?a=b")
    yield bare("GET", "/nothing?a=b")
    yield bare("GET", "/embed?inputs=a")
    yield post("a query string", "/embed?truncate=false&inputs=b", {"inputs": "a"})
    yield post("a query string", "/v1/embeddings?api-version=2024-02-01", {"input": "a"})
    yield post("a body that nobody reads", "/nothing", b"x" * 5000)
    yield Case("/info GET with a body", "GET", "/info", b'{"inputs":"a"}', JSON, differs="info")


def request_headers() -> Iterator[Case]:
    """Headers that TEI does not read, and some that it does."""
    for name, value in {
        "authorization": "Bearer no-key-is-set",
        "accept": "text/html",
        "accept-encoding": "gzip, br",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "x-request-id": "of-the-client",
        "x-forwarded-for": "1.2.3.4",
        "cookie": "a=b",
        "user-agent": "somebody/1.0",
        "if-none-match": '"x"',
        "range": "bytes=0-1",
        "connection": "close",
    }.items():
        yield post(f"with {name}", "/embed", {"inputs": "hello"}, (*JSON, (name, value)))
    yield bare("GET", "/info", (("accept-encoding", "gzip"),), name="with accept-encoding", differs="info")
    for name, value in {"x-request-timeout-ms": "soon", "x-priority": "highest"}.items():
        yield post(f"with a wrong {name}", "/embed", {"inputs": "a"}, (*JSON, (name, value)), differs="own headers")


def cases(_facts: Facts) -> Iterator[Case]:
    """All cases of HTTP."""
    yield from methods()
    yield from cors()
    yield from paths()
    yield from request_headers()
    yield from posts("/", ALIASED)
    yield from posts("/invocations", ALIASED)
    for path in ("/docs", "/docs/", "/api-doc/openapi.json"):
        yield bare("GET", path, differs="docs")
        yield bare("HEAD", path, differs="docs")
    yield post("in the shape of other proxies", "/embed", {"input": "a"}, differs="other shapes")
    yield post("in the shape of other proxies", "/vectors", {"text": "a"}, differs="other shapes")
    yield post("in the shape of other proxies", "/v1/embedding", [{"query": "a"}], differs="other shapes")
    for path in ("/meta", "/.well-known/ready", "/.well-known/live"):
        yield bare("GET", path, differs="other shapes")
    for path in ("/status", "/ready", "/live"):
        yield bare("GET", path, differs="states")
