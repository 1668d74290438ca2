"""The names of aiohttp's that are not public and that a worker needs: a version without one of them fails here, by name."""

import aiohttp
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from autobatch_proxy.server.shortcut import NEEDED

CLASSES = [(cls, name) for cls, names in NEEDED.items() for name in names] + [
    (RequestHandler, "_current_request"),  # server/connections.py: whether a handler has its request
    (RequestHandler, "_next_keepalive_close_time"),  # and since when it is idle
    (RequestHandler, "_request_count"),  # and whether it has brought a request
    (web.AppRunner, "_make_server"),  # autobatch_shared/refusals.py: the class of its connections
]


def test_aiohttp_has_the_names_of_its_classes() -> None:
    missing = [f"{cls.__name__}.{name}" for cls, name in CLASSES if not hasattr(cls, name)]

    assert not missing, f"aiohttp {aiohttp.__version__} has no {', '.join(missing)}, which a worker needs"


async def test_aiohttp_has_the_names_of_its_objects() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    resource = web.UrlDispatcher().add_resource("/embed")
    needed = {
        runner: ["_kwargs", "_shutdown_timeout"],  # autobatch_shared/refusals.py, server/connections.py
        runner.server: ["_kwargs", "_loop"],
        resource: ["_allowed_methods", "_any_route", "_path", "_routes"],  # http/routes.py
        web.StreamResponse(): ["_keep_alive"],  # http/answers.py
    }
    missing = [f"{type(each).__name__}.{n}" for each, names in needed.items() for n in names if not hasattr(each, n)]
    await runner.cleanup()

    assert not missing, f"aiohttp {aiohttp.__version__} has no {', '.join(missing)}, which a worker needs"
